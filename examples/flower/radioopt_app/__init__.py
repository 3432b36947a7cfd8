"""Federated training with certified allocations, as a Flower app."""
