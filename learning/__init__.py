"""Federated training that spends the allocations computed by radioopt."""
