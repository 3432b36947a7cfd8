"""What FEEL's paper prints: J. Ren, G. Yu, G. Ding, IEEE Transactions on Wireless Communications."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from radioopt import Scenario
from validation.reproduce import feel_schemes
from validation.reproduce.verdicts import (
    Entry,
    Results,
    Verdict,
    arithmetic,
    drawings,
    of_interval,
    rows_of,
)

PRINTED = (
    *(f"Fig. {number}" for number in range(1, 6)),
    "Table I",
    "Table II",
    "Section III",
    "Section IV",
    "Section V",
    "Section VI",
)
NOTE = (
    "Table II is measured on small networks, digits and Fashion-MNIST in place of DenseNet121 on CIFAR-10, with the"
    " paper's payload, ten seeds. Accuracies stand beside the printed ones and do not judge them; speeds, which are"
    " ratios, do. Figs. 4 and 5 are measured on the twelve CPU devices of `feel-cpu`."
)
CIFAR = (
    "CIFAR-10 and the network, own or of torchvision: "
    '`learning.train("feel-cpu", data="cifar10:FOLDER", model=NETWORK)`'
)
DATA = ("digits", "fashion-mnist")
NAMES = {
    "individual": "individual learning",
    "model-based": "model-based",
    "gradient-based": "gradient-based",
}
NAMES["feel"] = "proposed"
SLOWER = (
    "The small networks here learn fast by averaging models, while every gradient is as large as all weights; the paper"
    " counts the same bits for both."
)
REASONS = {
    "FEEL reaches the target first": SLOWER,
    "Individual learning ends least accurate": "With equal parts the largest batch takes too few steps in this time.",
    "Model-based learning is slower": SLOWER,
    "Gradient-based learning": "On unlike data individual learning hardly gets to the target.",
    "Individual learning loses most": "",
    "FEEL's speed over individual": SLOWER,
}
POLICIES = {"online": "one sample", "full": "the largest batch", "random": "random batches"}


def entries(results: Results) -> list[Entry]:
    """Judge the paper's figures, tables and claims.

    Parameters
    ----------
    results : mapping
        Results by name.

    Returns
    -------
    list of Entry
        In the order of the paper.
    """
    found = drawings({"Fig. 1": "the system"})
    found += [
        Entry(
            "Fig. 2",
            "time of a gradient by batch size, three networks on a GPU",
            "flat, then linear",
            "the law is fitted to any measurements, with its residuals",
            Verdict.NEEDS,
            "A GPU and the networks: `learning.time_training(model, sample_shape, num_classes)`, as in"
            " `examples/feel_fit_training_time.py`.",
        ),
        Entry(
            "Fig. 3",
            "loss and accuracy of three networks at several learning rates",
            "curves",
            "",
            Verdict.NEEDS,
            CIFAR,
        ),
    ]
    found += [*settings(), *theory(), *rounding(results), *table_2(results), *policies(results)]
    order = {name: place for place, name in enumerate(PRINTED)}
    return sorted(found, key=lambda entry: order[entry.where])


def settings() -> list[Entry]:
    """Compare the printed settings with the scenario."""
    known = Scenario.load("feel-cpu").to_dict()
    radio, devices, mine = known["radio"], known["devices"], known["feel"]
    pairs: dict[str, tuple[Any, Any]] = {
        "radius of the cell [m]": (200, known["cell"]["radius_m"]),
        "bandwidth [MHz]": (10, radio["bandwidth_hz"] / 1e6),
        "noise density [dBm/Hz]": (-174, radio["noise_psd_dbm_per_hz"]),
        "path loss": ("128.1 + 37.6 log10(d/km)", "128.1 + 37.6 log10(d/km)"),
        "frames [ms]": (10, 1e3 * mine["uplink_frame_s"]),
        "transmit powers [dBm]": (28, devices["transmit_power_dbm"]),
        "bits of a value": (32, mine["payload_bits"] / 8_062_504),
        "largest batch": (128, mine["max_batchsize"]),
    }
    found = [
        Entry("Table I", name, str(printed), f"{ours}, scenario feel-cpu", Verdict.REPRODUCED)
        if printed == ours
        else Entry("Table I", name, str(printed), str(ours), Verdict.DIFFERS, "The scenario has another.")
        for name, (printed, ours) in pairs.items()
    ]
    found += [
        Entry(
            "Section VI",
            "cycles of a sample and of an update, loss decay",
            "not printed",
            "assumed in the scenario",
            Verdict.UNPRINTED,
            "The paper has none of them.",
        ),
        Entry(
            "Section VI",
            "parameters of DenseNet121, ResNet18, MobileNetV2",
            "8,062,504; 33,161,024; 3,538,984",
            "the first is the scenario's payload",
            Verdict.UNPRINTED,
            "How the networks begin and end, and how many classes they have, is not printed.",
        ),
        arithmetic("Section VI", "samples in 2K shards of 25,000/K", 50_000, 2 * 25_000, 0.5),
    ]
    return found


def theory() -> list[Entry]:
    """Carry over what is known of the paper's formulas."""
    link = "[Corrections](feel.md#corrections-to-the-paper)"
    holds, differs = Verdict.REPRODUCED, Verdict.DIFFERS
    rows = [
        ("Section IV", "Theorem 1: batches and slots in closed form", "the optimum, at the right multipliers", holds,
         f"Its μ is not the price of the frame at limits, and [·]⁺ must mean infeasible: {link}, 2 and 3."),
        ("Section IV", "P4 is not convex", "jointly convex, so certified", differs, f"{link}, 1."),
        ("Section IV", "Corollary 1: bounds of the efficiency", "they fail with devices at limits", differs,
         f"Valid bounds: {link}, 5."),
        ("Section IV", "Corollary 2: bounds of the multiplier", "the lower one squares a negative number", differs,
         f"{link}, 4."),
        ("Section IV", "Theorem 2: slots of the downlink", "the root above the largest pole", holds,
         f"Below it are spurious roots: {link}, 6."),
        ("Section IV", "batch linear in training speed, exponent -1/2 of priority and rate", "holds between the limits",
         holds, ""),
        ("Section IV", "Remark 3: a slower device gets a longer slot", "a shorter one, between the limits", differs,
         f"The share is √(a/p)/m: {link}, 7."),
        ("Section V", "Lemma 2: batches at or above the threshold", "for thresholds up to the largest batch", holds,
         f"{link}, 8."),
        ("Section V", "GPU: the same structure as CPU", "one solver for both", holds, ""),
    ]  # fmt: skip
    return [Entry(where, what, "proved", ours, verdict, why) for where, what, ours, verdict, why in rows]


def rounding(results: Results) -> list[Entry]:
    """Judge rounding up to whole samples by its loss."""
    rows = rows_of(results, "rounding")
    if not rows:
        why = "`radioopt reproduce feel --only rounding`"
        return [Entry("Section III", "batches may be rounded up", "claimed", "", Verdict.NEEDS, why)]
    return [
        Entry(
            "Section III",
            f"batches may be rounded up: {row['devices']} devices, mean batch {row['batch']:.3g}",
            "claimed",
            f"{100 * row['round_up']:.2g} % less efficiency (median); integer optimum {100 * row['integer']:.2g} %",
            Verdict.REPRODUCED if row["round_up"] < 0.01 else Verdict.DIFFERS,
            ""
            if row["round_up"] < 0.01
            else "Small batches grow a lot by rounding up; `solve(integer=True)` does not.",
        )
        for row in rows
    ]


def table_2(results: Results) -> list[Entry]:
    """Judge Table II and what the text says of it."""
    measured = {
        (data, row["K"], row["partition"], row["scheme"]): row
        for data in DATA
        for row in rows_of(results, f"schemes-{data}")
    }
    found = []
    for (devices, partition), printed in feel_schemes.PRINTED.items():
        for scheme, (accuracy, speed) in zip(feel_schemes.SCHEMES, printed, strict=True):
            what = f"K = {devices}, {partition}, {NAMES[scheme]}"
            mine = {
                data: measured[data, devices, partition, scheme]
                for data in DATA
                if (data, devices, partition, scheme) in measured
            }
            shown = "; ".join(f"{data}: {_shown(row, 'accuracy', 100)}" for data, row in mine.items())
            found.append(
                Entry(
                    "Table II", f"{what}: accuracy [%]", f"{100 * accuracy:.2f}", shown, Verdict.NEEDS, CIFAR
                )
            )
            found.append(_speed(f"{what}: speed", scheme, speed, mine))
    found += check_arithmetic()
    for data in DATA:
        rows = rows_of(results, f"schemes-{data}")
        if rows:
            found += [_claim(data, line) for line in feel_schemes.claims(pd.DataFrame(rows)).splitlines()]
            found += _alike(data, measured)
    return found


def _shown(row: Mapping[str, Any], column: str, factor: float = 1.0) -> str:
    value, half = row[column], row.get(f"{column} ±")
    if value is None:
        return "too few runs reach the target"
    return f"{factor * value:.3g}" + ("" if half is None else f" ± {factor * half:.2g}")


def _speed(what: str, scheme: str, printed: float, mine: Mapping[str, Mapping[str, Any]]) -> Entry:
    """Judge a speed over individual learning."""
    if scheme == "individual":
        return Entry("Table II", what, "1", "1, by definition", Verdict.REPRODUCED)
    shown = "; ".join(f"{data}: {_shown(row, 'speed')}" for data, row in mine.items())
    verdicts = []
    for row in mine.values():
        mean, half = row["speed"], row.get("speed ±")
        known = mean is not None and half is not None
        verdicts.append(of_interval(mean - half, mean + half, printed) if known else Verdict.NEEDS)
    if Verdict.DIFFERS in verdicts:
        verdict = Verdict.DIFFERS
        why = (
            SLOWER
            if scheme != "gradient-based"
            else "The largest batch takes fewer steps in this time than there."
        )
    elif verdicts and set(verdicts) == {Verdict.REPRODUCED}:
        verdict, why = Verdict.REPRODUCED, ""
    else:
        verdict = Verdict.NEEDS
        why = (
            "Individual learning reaches the target too rarely; CIFAR-10 and DenseNet121 have to tell. "
            + CIFAR
        )
    return Entry("Table II", what, f"{printed:g}", shown, verdict, why)


def check_arithmetic() -> list[Entry]:
    """Check ratios and differences of the text against Table II."""
    table = {
        case: dict(zip(feel_schemes.SCHEMES, printed, strict=True))
        for case, printed in feel_schemes.PRINTED.items()
    }
    iid, other = table[6, "IID"], table[6, "non-IID"]
    found = []
    for name, case, points, over_model, over_gradient in (
        ("IID", iid, 0.83, 3.76, 2.0),
        ("non-IID", other, 2.27, 2.78, 1.5),
    ):
        gain = 100 * (case["feel"][0] - case["individual"][0])
        found += [
            arithmetic(
                "Table II", f"K = 6, {name}: proposed over individual", points, gain, 0.005, " points"
            ),
            arithmetic(
                "Table II",
                f"K = 6, {name}: speed over model-based",
                over_model,
                case["feel"][1] / case["model-based"][1],
                0.005,
            ),
            arithmetic(
                "Table II",
                f"K = 6, {name}: speed over gradient-based, about",
                over_gradient,
                case["feel"][1] / case["gradient-based"][1],
                0.1,
            ),
        ]
    return found


def _claim(data: str, line: str) -> Entry:
    text, _, outcome = line[2:].rpartition(": holds")
    if outcome == ".":
        return Entry("Table II", text, "claimed", f"{data}: holds", Verdict.REPRODUCED)
    why = next(reason for word, reason in REASONS.items() if text.startswith(word))
    return Entry(
        "Table II", text, "claimed", f"{data}: holds{outcome.rstrip('.')}", Verdict.DIFFERS, why or SLOWER
    )


def _alike(data: str, measured: Mapping[tuple[str, int, str, str], Mapping[str, Any]]) -> list[Entry]:
    """Judge that the proposed scheme is as accurate on unlike data as on equal parts."""
    found = []
    for devices in feel_schemes.DEVICES:
        one, other = (measured[data, devices, partition, "feel"] for partition in feel_schemes.PARTITIONS)
        gap = 100 * (one["accuracy"] - other["accuracy"])
        width = 100 * math.hypot(one["accuracy ±"], other["accuracy ±"])
        same = abs(gap) <= width
        found.append(
            Entry(
                "Table II",
                f"K = {devices}: the proposed scheme is as accurate on non-IID data",
                "claimed",
                f"{data}: {gap:+.1f} ± {width:.1f} points between the two",
                Verdict.REPRODUCED if same else Verdict.DIFFERS,
                "" if same else "The difference is outside its interval.",
            )
        )
    return found


def policies(results: Results) -> list[Entry]:
    """Judge Figs. 4 and 5 by the time to an accuracy under four batch sizes."""
    rows = rows_of(results, "policies")
    found = []
    for (where, partition), (rule, words) in itertools.product(
        (("Fig. 4", "iid"), ("Fig. 5", "shards")),
        (("shared", "one learning rate for all"), ("tuned", "each at its best learning rate")),
    ):
        for policy, name in POLICIES.items():
            row = next(
                (r for r in rows if (r["partition"], r["rule"], r["policy"]) == (partition, rule, policy)),
                None,
            )
            what = f"(a) the proposed batches are faster than {name}, {words}"
            if row is None:
                run = "`radioopt reproduce feel --only policies`"
                found.append(Entry(where, what, "claimed", "", Verdict.NEEDS, run))
                continue
            low, high, ratio = row["ratio_low"], row["ratio_high"], row["ratio"]
            if ratio is None:
                shown, verdict = "the optimum itself missed the target", Verdict.NEEDS
            elif low is None:
                shown = f"{'at least ' * row['lower_bound']}{ratio:.3g} times the time"
                verdict = Verdict.REPRODUCED if ratio > 1 else Verdict.NEEDS
            else:
                shown = f"{ratio:.3g} times the time [{low:.3g}, {high:.3g}]"
                verdict = Verdict.REPRODUCED if low > 1 else Verdict.DIFFERS if high < 1 else Verdict.NEEDS
            why = {
                Verdict.REPRODUCED: "",
                Verdict.DIFFERS: "Small batches take many cheap steps where little is sent for a step.",
                Verdict.NEEDS: "Ten seeds do not tell: `radioopt reproduce feel --only policies --seeds 40`",
            }[verdict]
            found.append(Entry(where, what, "claimed", shown, verdict, why))
    for where in ("Fig. 4", "Fig. 5"):
        found.append(
            Entry(
                where,
                "(b) the proposed batches end most accurate, DenseNet121 on six GPUs",
                "curves",
                "",
                Verdict.NEEDS,
                CIFAR.replace("feel-cpu", "feel-gpu"),
            )
        )
    return found
