"""What whole samples cost in FEEL: the paper's rounding up, and the integer optimum, below the continuous bound.

Cells are those of the benchmark; the payload is scaled so that the devices' batches are small, middling or at their
limit of 128. Prints the table of ``docs/feel.md`` in half a minute::

    python -m validation.reproduce.feel_rounding
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from radioopt.base.status import Status
from radioopt.feel.problem import BatchsizeProblem
from validation.feel.bench import draw
from validation.reproduce.registry import Setup

#: instances per number of devices
INSTANCES = {3: 1000, 12: 1000, 100: 200, 1000: 20}
#: payloads, as multiples of the benchmark's 1.5 Gbit over K
PAYLOADS = (1e-3, 1e-2, 1e-1, 1.0)


def losses(problem: BatchsizeProblem) -> dict[str, float]:
    """Loss of learning efficiency against the continuous bound over a batch, by both ways to whole samples.

    Parameters
    ----------
    problem : BatchsizeProblem
        A batch of instances.

    Returns
    -------
    dict of str to float
        ``batch``, the mean batch of a device; median and 95th percentile of the relative loss by rounding up and
        of the integer optimum; ``overrun``, by how much of its planned latency the rounded round lasts longer
        (median).

    Examples
    --------
    >>> found = losses(draw(12, 50).replace(payload_bits=1e6))
    >>> found["integer"] < found["round_up"] and found["integer_95"] < found["round_up_95"]
    True
    """
    planned, rounded, best = problem.solve(), problem.solve("round-up"), problem.solve(integer=True)
    assert (best.status == Status.OPTIMAL).all()
    row = {"batch": float(planned.batchsize.mean())}
    for name, solution in (("round_up", rounded), ("integer", best)):
        loss = np.maximum(1 - solution.objective / planned.bound, 0.0)
        row |= {name: float(np.median(loss)), f"{name}_95": float(np.percentile(loss, 95))}
    row["overrun"] = float(np.median(rounded.round_latency_s / planned.round_latency_s - 1))
    return row


def table() -> pd.DataFrame:
    """Tabulate :func:`losses` over numbers of devices and payloads.

    Returns
    -------
    pandas.DataFrame
        Indexed by ``devices`` and ``payload`` (a factor).
    """
    rows = {}
    for devices, count in INSTANCES.items():
        cells = draw(devices, count, seed=2)
        for factor in PAYLOADS:
            rows[devices, factor] = losses(cells.replace(payload_bits=cells.payload_bits * factor))
    frame = pd.DataFrame.from_dict(rows, orient="index")
    return frame.rename_axis(["devices", "payload"])


def study(setup: Setup) -> dict[str, Any]:
    """Measure for ``radioopt reproduce feel``."""
    return {"setting": {"cells by number of devices": str(INSTANCES)}, "rows": table().reset_index()}


def main() -> None:
    """Print the table in Markdown, losses in per cent."""
    print("| K | mean batch | rounded up | 95 % | its round is longer by | integer optimum | 95 % |")
    print("|---|---|---|---|---|---|---|")
    for row in table().reset_index().to_dict("records"):
        percent = {name: f"{0.0 if x < 1e-12 else 100 * x:.2g}" for name, x in row.items()}
        cells = [percent[name] for name in ("round_up", "round_up_95", "overrun", "integer", "integer_95")]
        print(f"| {row['devices']} | {row['batch']:.3g} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
