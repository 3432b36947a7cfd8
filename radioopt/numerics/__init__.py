"""Jitted building blocks, scalar in and scalar out for use in any kernel, with array front-ends."""
