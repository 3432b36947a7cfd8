"""Campaigns of seeded inputs: whatever is given, an answer that holds, or words of radioopt's own.

``python -m validation.fuzz`` runs them; ``tests/fuzz`` runs a slice of each, and all of them in full if asked.
"""
