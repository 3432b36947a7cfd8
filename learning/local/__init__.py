"""What a device computes: batches, losses, step rules, and engines that train many devices at once."""
