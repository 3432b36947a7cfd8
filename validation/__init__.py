"""Independent checks of radioopt: the same problems for generic solvers, and the benchmark."""
