"""FIMI as the paper writes it, for generic solvers; named and random instances."""
