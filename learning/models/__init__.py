"""Architectures by name, those of the papers among them, and arithmetic on their weights."""
