"""Who trains which student where, what came of it, and what the next allocation would choose with what was measured."""

import learning
from radioopt import Scenario

cell = Scenario.load("dtkd")  # four users around a server, four models to choose from
options = {
    "partition": "disjoint-labels",  # nobody has a label of anybody else's
    "teacher_rounds": 60,
    "rounds": 12,  # epochs
    "schedule": "milestones:0.2,6,8,10",
    "seed": 1,
}

result = learning.train(cell, scheme="simkd", **options)
who = result.prepared[0].to_frame()
print(
    who.assign(
        server_ghz=who.pop("server_cpu_frequency_hz") / 1e9, band_mhz=who.pop("bandwidth_hz") / 1e6
    ).round(2)
)
print(f"\nthe teacher is trained for {result.ledger.before.seconds:.0f} s; then an epoch a round:")
columns = ["seconds", "mean_delay_s", "test_accuracy", "private_accuracy", "objective", "realised_objective"]
print(result.to_frame()[columns].iloc[[1, 3, 6, 12]].round(3).to_string())

# What each method teaches of labels that a user does not hold.
print("\n        all labels   top-5   own labels   foreign answers")
for scheme in ("stu", "kd", "simkd"):
    own = options if scheme != "stu" else {k: v for k, v in options.items() if k != "teacher_rounds"}
    last = learning.train(cell, scheme=scheme, judge_every=12, **own).to_frame().iloc[-1]
    print(
        f"{scheme:6s} {last['test_accuracy']:11.3f} {last['test_top5']:7.3f} {last['private_accuracy']:12.3f} "
        f"{last['foreign']:17.3f}"
    )

# The loop closed: measure what each model gets, allocate with that, train, and compare.
measured = learning.measure_catalogue(
    cell, scheme="simkd", seeds=[1, 2], **{k: v for k, v in options.items() if k != "seed"}
)
print(f"\n{measured.to_frame()[['own_accuracy', 'average_accuracy']].round(3)}")
again = learning.train(
    cell.replace({"dtkd.catalogue": measured.to_dict()}), scheme="simkd", **options | {"seed": 3}
)
last = again.to_frame().iloc[-1]
chosen = ", ".join(again.prepared[0].to_frame()["model"])
print(f"chosen now: {chosen}")
print(f"objective predicted {last['objective']:.3f}, reached {last['realised_objective']:.3f}")
