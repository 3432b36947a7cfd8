"""What is kept of one run: ledger, limits, checkpoints, folders, pictures."""
