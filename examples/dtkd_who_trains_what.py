"""Who trains which student where, and what one more MHz of band or GHz of server is worth."""

from pathlib import Path

import numpy as np
import pandas as pd

from radioopt.dtkd import DistillationProblem, ModelCatalogue

# Six devices around one server. The models are a table with their units in the names of the columns.
catalogue = ModelCatalogue.from_csv(Path(__file__).parent / "dtkd_models.csv")
users = pd.DataFrame(
    {
        "user": ["tablet", "phone A", "phone B", "camera", "laptop", "gateway"],
        "distance_m": [20.0, 35.0, 60.0, 95.0, 25.0, 50.0],
        "local_cpu_frequency_hz": [1.5e9, 1.2e9, 0.9e9, 0.5e9, 2.0e9, 1.0e9],
        "max_delay_s": [np.inf, np.inf, np.inf, 9.5, np.inf, 11.0],
    }
).set_index("user")

problem = DistillationProblem(
    catalogue=catalogue,
    channel_gain=1e-4 * users["distance_m"] ** -2.8,
    local_cpu_frequency_hz=users["local_cpu_frequency_hz"],
    max_delay_s=users["max_delay_s"],
    transmit_power_w=0.1,
    noise_power_w=1e-12,
    bandwidth_hz=15e6,
    server_cpu_frequency_hz=15e9,
    teacher_cycles=9.5e9,
    label_bits=51.2e6,
    delay_weight_per_s=0.0075,  # a second is worth 0.75 points of accuracy
    cpu_price_per_cycle=3e-12,
    bandwidth_price_per_hz=1e-10,
)
solution = problem.solve()
table = pd.DataFrame(
    {
        "model": solution.model_names,
        "place": np.where(solution.trains_locally, "itself", "server"),
        "server [GHz]": solution.server_cpu_frequency_hz / 1e9,
        "band [MHz]": solution.bandwidth_hz / 1e6,
        "delay [s]": solution.delay_s,
        "deadline [s]": problem.max_delay_s,
        "accuracy": solution.accuracy_credit,
        "a later deadline saves, per s": solution.price_delay_per_s,
    },
    index=users.index,
)
print(table.round(4).to_string())
print(f"\n{solution.status.name}: cost {solution.objective:.5f}, proven within {solution.gap:.0e}")

# The derivative is the envelope theorem's; beside it the optimum solved again with one unit more, choices free.
worth = solution.sensitivity()
print("\none more ...      saves (slope)  saves (solved again)")
for field, unit, name in (
    ("bandwidth_hz", 1e6, "MHz of band"),
    ("server_cpu_frequency_hz", 1e9, "GHz of server"),
):
    again = problem.replace(**{field: getattr(problem, field) + unit}).solve()
    slope = float(worth.prices[field]) * unit
    print(f"{name:<16} {slope:12.5f} {float(solution.objective - again.objective):19.5f}")

# What a rule of thumb costs: the same model for everybody, places and shares still optimal.
print("\nthe same model for everybody")
for position, name in enumerate(catalogue.names):
    same = problem.fix(position).solve(throw=False)
    text = f"{same.objective - solution.objective:.4f} dearer" if same.status.usable else "misses a deadline"
    print(f"  {name:<12} {text}")
