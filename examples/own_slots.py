"""Slots of one's own: a rule of thumb judged against the proven optimum, and spent in training."""

import learning
import radioopt as ro


def proportional(devices, rng):
    """Give every device slots in proportion to the time that its upload takes."""
    problem = devices.problem("feel")
    need = 1 / problem.uplink_rate_bps
    return problem.judge(
        batchsize=problem.solve(integer=True).batchsize,
        uplink_slot_s=problem.uplink_frame_s * need / need.sum(),
        downlink_slot_s=problem.downlink_frame_s / need.size,
    )


devices = ro.Scenario.load("feel-cpu").draw(seed=1)
rule = proportional(devices, None)
print(f"{rule.status}: a round takes {rule.round_latency_s:.1f} s; the best slots gain {rule.gap:.1%}")

try:
    rule.problem.judge(batchsize=rule.batchsize, uplink_slot_s=0.001, downlink_slot_s=rule.downlink_slot_s)
except ro.SolveError as error:
    print(f"refused: {error}")

for name, options in {"optimal": {}, "proportional": {"allocator": proportional}}.items():
    ledger = learning.train("feel-cpu", rounds=20, seed=1, progress=False, **options).ledger
    print(f"{name:<13} {ledger.seconds:7.1f} s, accuracy {ledger.entries[-1].test_accuracy:.3f}")
