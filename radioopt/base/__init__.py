"""What every problem family shares: quantities, problems, solutions, certificates, errors."""
