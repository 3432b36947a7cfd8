"""Many runs: comparisons on paired seeds, of runs in memory or read back."""
