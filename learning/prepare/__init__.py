"""What happens to the data before the first round: preparations, which compose with each other and every scheme."""
