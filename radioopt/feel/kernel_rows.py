"""Rows of the blocks that FEEL's kernels read and write, and of their work array.

The first two lines are the layout of the problem's quantities, the next two that of the solution's; a test
compares them.
"""

# rows of the problem's per-device block and of its per-instance block
UPLINK_RATE, DOWNLINK_RATE, SLOPE, UPDATE, MAX_BATCH, MIN_BATCH, BASE = range(7)
PAYLOAD, UPLINK_FRAME, DOWNLINK_FRAME, DECAY, TOTAL, DEADLINE = range(6)
# rows of the solution's blocks; the kernel leaves the residual where the gap will stand
BATCH, UPLINK_SLOT, DOWNLINK_SLOT = range(3)
OBJECTIVE, BOUND, RESIDUAL, PHASE_UP, PHASE_DOWN, LATENCY = range(6)
# relative rounding error allowed for in a bound
ROUNDING = 4e-16
# times and batch sizes from 1/LARGE to LARGE have squares, cubes and ratios that neither overflow nor vanish
LARGE = 1e75
# rows of the work array
A, ROOT, TO_L, TO_U, P, LOW, HIGH, OFFSET, B, C, DONE = range(11)
