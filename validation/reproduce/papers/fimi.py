"""What FIMI's paper prints: P. Li et al., IEEE Transactions on Mobile Computing, 2024."""

from __future__ import annotations

from typing import Any

from radioopt import Scenario
from validation.reproduce import fimi_claims
from validation.reproduce.verdicts import (
    Entry,
    Results,
    Verdict,
    arithmetic,
    drawings,
    of_word,
    rows_of,
)

PRINTED = (*(f"Fig. {number}" for number in range(1, 6)), "Table I", "Section IV", "Section V")
NOTE = (
    "Energies of a round are over 1,000 placements of the paper's cell. Training is on digits in place of CIFAR10 and"
    " GTSRB, with small networks and generators. So every method of Table I is compared with the first of its block:"
    " energy, latency and uplink by the ratio of the two, accuracy by their difference. A claim is judged by the sign"
    " of a difference. Differences and ratios are paired by seed, with 95 % intervals in brackets."
)
RUN = "`radioopt reproduce fimi --only training`"
CIFAR = (
    "CIFAR10 or GTSRB, and VGG-9: "
    "`radioopt train fimi --scheme fedavg --data cifar10:FOLDER --model vgg9 --partition dirichlet:0.4,1250`"
)
DATA = ("digits", "fashion-mnist")
COLUMNS = ("energy [J]", "latency [h]", "uplink [GB]", "best accuracy [%]")
#: what a claim is about, by its name in the results
MEASURED = {
    "joules_per_round": "energy of a round [J]",
    "energy_kj": "energy [kJ]",
    "hours": "time [h]",
    "best": "best accuracy [points]",
    "similarity": "similarity of gradients",
}
#: multiples of the first method that stand in brackets, one digit each, by block
MULTIPLES: dict[tuple[str, float], dict[str, str]] = {
    ("CIFAR10", 0.4): {"SEMI": "1.0 0.9 0.9", "HDC": "0.7 0.5 0.5", "SST": "0.6 0.6 0.6", "GAN (w/o DM)": "0.7 0.5 0.5",
                       "FIMI": "0.5 0.4 0.4"},
    ("CIFAR10", 0.6): {"SEMI": "1.0 0.9 0.9", "HDC": "0.9 0.7 0.7", "SST": "0.8 0.8 0.8", "GAN (w/o DM)": "1.0 0.8 0.8",
                       "FIMI": "0.7 0.5 0.5"},
    ("GTSRB", 0.4): {"SST": "0.4 0.5 0.5", "GAN (w/o DM)": "0.3 0.3 0.3", "FIMI": "0.2 0.2 0.2"},
    ("GTSRB", 0.6): {"SST": "0.4 0.6 0.6", "GAN (w/o DM)": "0.3 0.3 0.3", "FIMI": "0.2 0.2 0.2"},
}  # fmt: skip
#: best accuracies of methods that do not reach the target
MISSED: dict[float, dict[str, float]] = {
    0.4: {"TFL": 43.81, "SEMI": 57.33},
    0.6: {"TFL": 54.84, "SEMI": 67.93},
}


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
    found = [
        Entry(
            "Fig. 1",
            "top: classes that are spread better, Dirichlet(0.9), train more accurately than (0.3)",
            "curves",
            "",
            Verdict.NEEDS,
            CIFAR.replace("CIFAR10 or GTSRB", "CIFAR100").replace("cifar10", "cifar100"),
        ),
        Entry(
            "Fig. 1",
            "bottom: energy of twice the data at the same latency",
            "about 4 times",
            "8 times by (5)",
            Verdict.DIFFERS,
            "Energy is cycles times frequency squared, and both double: the first 2 times, the second 4 times.",
        ),
        *drawings({"Fig. 2": "the steps"}),
        Entry(
            "Fig. 3",
            "learning error by samples, measured on proxy data",
            "points and fitted curves",
            "",
            Verdict.NEEDS,
            "The proxy data; `radioopt fit learning-curve --data NAME` measures and fits such a curve on any.",
        ),
    ]
    found += [
        *settings(),
        *theory(),
        *energies(results),
        *table_1(results),
        *check_arithmetic(),
        *claims(results),
    ]
    order = {name: place for place, name in enumerate(PRINTED)}
    return sorted(found, key=lambda entry: (order[entry.where], _panel(entry)))


def _panel(entry: Entry) -> str:
    return entry.what if entry.where == "Fig. 5" else ""


def settings() -> list[Entry]:
    """Compare the printed settings with the scenario."""
    known = Scenario.load("fimi").to_dict()
    radio, devices, mine = known["radio"], known["devices"], known["fimi"]
    pairs: dict[str, tuple[Any, Any]] = {
        "devices": (20, devices["count"]),
        "radius of the cell [m]": (400, known["cell"]["radius_m"]),
        "bandwidth [MHz]": (20, radio["bandwidth_hz"] / 1e6),
        "largest power [dBm]": ([20, 23], devices["transmit_power_dbm"]["uniform"]),
        "largest frequency [GHz]": ([1, 2], [f / 1e9 for f in devices["cpu_frequency_hz"]["uniform"]]),
        "energy coefficient": ([4e-27, 6e-27], devices["energy_coefficient"]["uniform"]),
        "samples of a device": (1250, devices["local_samples"]),
        "cycles of a sample": (5e6, mine["cycles_per_sample"]),
        "latency of a round [s]": (60, mine["max_round_latency_s"]),
        "rounds": (200, mine["num_rounds"]),
        "limit of the error": (0.2, mine["max_global_error"]),
        "upload of VGG-9 [Mbit]": (111.7, mine["payload_bits"] / 1e6),
    }
    found = [
        Entry("Section V", name, str(printed), f"{ours}, scenario fimi", Verdict.REPRODUCED)
        if printed == ours
        else Entry("Section V", name, str(printed), str(ours), Verdict.DIFFERS, "The scenario has another.")
        for name, (printed, ours) in pairs.items()
    ]
    found += [
        Entry(
            "Section V",
            "upload of VGG-9 from its weights [Mbit]",
            "111.7",
            f"{3_491_530 * 32 / 1e6:.1f}: 3,491,530 weights of our `vgg9` at 32 bits",
            Verdict.REPRODUCED,
        ),
        Entry(
            "Section V",
            "noise density",
            "-174 dBm/MHz",
            "-174 dBm/Hz",
            Verdict.DIFFERS,
            "Thermal noise is -174 dBm per hertz.",
        ),
        Entry(
            "Section V",
            "learning curve, convergence constant, most synthetic samples; rounds and draws of the search",
            "not printed",
            "calibrated, or defaults that are stated",
            Verdict.UNPRINTED,
            "The paper has none of them.",
        ),
        arithmetic("Section V", "synthetic samples of a device, about", 333, 6659 / 20, 0.5),
        arithmetic(
            "Section V", "their bits [Mbit], 32 x 32 x 3 bytes each", 8.1, 333 * 32 * 32 * 3 * 8 / 1e6, 0.05
        ),
        Entry(
            "Section V",
            "minutes to generate the samples on eight GPUs",
            "7.17",
            "",
            Verdict.NEEDS,
            "Eight RTX A5000; `radioopt reproduce fimi --only generators` times ours on one core.",
        ),
    ]
    return found


def theory() -> list[Entry]:
    """Carry over what is known of the paper's formulas."""
    link = "[Corrections](fimi.md#corrections-to-the-paper)"
    rows = (
        (
            "P1 is decomposed and searched over the split of the round",
            "jointly convex, solved and certified",
            1,
        ),
        ("(25), (28), (29): samples and frequency in closed form", "with γ where it belongs", 2),
        ("(31): power by Lambert's W", "with the lower branch and the whole denominator", 3),
        ("(40): range of the price of bandwidth", "between the least and the largest derivative", 4),
        ("(41), (42): the cross-entropy search", "moments of the best samples", 5),
        ("(17), (18): a feasible split", "necessary, not sufficient", 6),
        ("Lemmas 1 and 2", "fail where the local samples meet the error", 7),
    )
    return [
        Entry("Section IV", what, "derived", ours, Verdict.DIFFERS, f"{link}, {number}.")
        for what, ours, number in rows
    ]


def energies(results: Results) -> list[Entry]:
    """Judge synthetic samples, energies of a round and the cross-entropy search."""
    found = []
    for row in rows_of(results, "energy"):
        if row["quantity"].endswith("calibrated") and row["Mbit per upload"] != 111.7:
            continue
        verdict = of_word(row["verdict"])
        if row["verdict"] == "by calibration":
            why = "By calibration: the learning curve was chosen for it."
        elif verdict is Verdict.DIFFERS:
            why = "No draw of 1,000 comes near it, and the paper does not print what else would cost energy."
        else:
            why = f"{abs(row['deviations away']):.1f} standard deviations away."
        found.append(
            Entry(
                "Section V" if row["quantity"].endswith("calibrated") else "Table I",
                f"{row['quantity']}, curve {row['curve']}, {row['Mbit per upload']:g} Mbit an upload",
                f"{row['paper']:g}",
                row["radioopt"],
                verdict,
                why,
            )
        )
    if not found:
        run = "`radioopt reproduce fimi --only energy`"
        found.append(Entry("Table I", "energies of a round", "implied", "", Verdict.NEEDS, run))
    found.append(
        arithmetic("Table I", "upload that its uplink implies [Mbit]", 111.7, 56.45e3 * 8 / 193 / 20, 0.05)
    )
    for row in rows_of(results, "curves"):
        where, _, text = row["claim"].partition(": ")
        verdict = of_word(row["verdict"])
        found.append(
            Entry("Fig. 5", f"{where.removeprefix('Fig. 5')} {text}", "curves", row["found"], verdict,
                  "" if verdict is Verdict.REPRODUCED else "The solver says otherwise.")
        )  # fmt: skip
    if not rows_of(results, "curves"):
        for panel in "ab":
            run = "`radioopt reproduce fimi --only curves`"
            found.append(Entry("Fig. 5", f"({panel}) by the solver", "curves", "", Verdict.NEEDS, run))
    for row in rows_of(results, "cross-entropy"):
        if row["I"] == 20:
            near = row["largest gap"] < 0.01
            found.append(
                Entry(
                    "Section IV",
                    f"Algorithm 3 finds the optimum: 20 devices, J, M, K = {row['J']}, {row['M']}, {row['K']}",
                    "claimed",
                    f"{row['median gap']:.1g} above the optimum (median), {row['largest gap']:.1g} at most",
                    Verdict.REPRODUCED if near else Verdict.DIFFERS,
                    "" if near else "The search needs more rounds and draws the more devices there are.",
                )
            )
    return found


def table_1(results: Results) -> list[Entry]:
    """Set Table I beside ratios of what was trained."""
    ours: dict[tuple[Any, ...], dict[str, Any]] = {}
    for data in DATA:
        for row in rows_of(results, f"training-{data}"):
            if row["kind"] == "value":
                ours.setdefault((row["paper's data"], row["Dir"], row["ratio"], row["column"]), {})[data] = (
                    row
                )
    found = []
    for (data, mixture), block in fimi_claims.TABLE_I.items():
        base = next(iter(block))
        for method, values in block.items():
            for place, value in enumerate(values):
                what = f"{data}, Dir({mixture}), {method}, {COLUMNS[place]}"
                if method == base:
                    why = f"{CIFAR}. Others are compared with this one."
                    found.append(Entry("Table I", what, f"{value:g}", "", Verdict.NEEDS, why))
                    continue
                ratio = f"{method} {'-' if place == 3 else '/'} {base}"
                column = list(fimi_claims.COLUMNS.values())[place]
                rows = ours.get((data, mixture, ratio, column), {})
                if not rows:
                    found.append(
                        Entry("Table I", what, f"{value:g}", "", Verdict.NEEDS, f"{CIFAR}, or ratios: {RUN}")
                    )
                    continue
                verdicts = [of_word(row["verdict"]) for row in rows.values()]
                verdict = next(
                    v for v in (Verdict.DIFFERS, Verdict.NEEDS, Verdict.REPRODUCED) if v in verdicts
                )
                words = {row["verdict"] for row in rows.values()}
                why = {
                    Verdict.REPRODUCED: "",
                    Verdict.DIFFERS: "The same direction, of another size."
                    if "contradicted" not in words
                    else "Other data, networks and generators; the direction is the other one.",
                    Verdict.NEEDS: f"More seeds, or {CIFAR}",
                }[verdict]
                shown = "; ".join(f"{name}: {row['here']}" for name, row in rows.items())
                beside = next(iter(rows.values()))["paper"]
                relative = f"{float(beside):+g} points over" if place == 3 else f"{beside} times"
                printed = f"{value:g}, {relative} {base}"
                found.append(Entry("Table I", f"{what}: {ratio}", printed, shown, verdict, why))
    for mixture, missed in MISSED.items():
        for method, accuracy in missed.items():
            what = f"GTSRB, Dir({mixture}), {method}"
            found.append(Entry("Table I", f"{what}: target", "not reached", "", Verdict.NEEDS, CIFAR))
            found.append(
                Entry("Table I", f"{what}, best accuracy [%]", f"{accuracy:g}", "", Verdict.NEEDS, CIFAR)
            )
    return found


def check_arithmetic() -> list[Entry]:
    """Check what the text and the brackets say against Table I itself."""
    found = []
    for where, methods in MULTIPLES.items():
        table = fimi_claims.TABLE_I[where]
        base = next(iter(table.values()))
        wrong = [
            f"{method} {text} for {table[method][place] / base[place]:.3f}"
            for method, printed in methods.items()
            for place, text in enumerate(printed.split())
            if abs(float(text) - table[method][place] / base[place]) > 0.0501
        ]
        found.append(
            Entry(
                "Table I",
                f"{where[0]}, Dir({where[1]}): multiples in brackets",
                f"{3 * len(methods)} ratios",
                "all follow from the values" if not wrong else "; ".join(wrong),
                Verdict.DIFFERS if wrong else Verdict.REPRODUCED,
                "These do not follow from the values." if wrong else "",
            )
        )
    low, high = fimi_claims.TABLE_I["CIFAR10", 0.4], fimi_claims.TABLE_I["CIFAR10", 0.6]
    signs = fimi_claims.TABLE_I["GTSRB", 0.6]

    def saved(table: dict[str, tuple[float, ...]], method: str, place: int) -> float:
        return 100 * (1 - table["FIMI"][place] / table[method][place])

    found += [
        arithmetic("Table I", "energy saved over TFL, CIFAR10, Dir(0.4)", 50, saved(low, "TFL", 0), 5, " %"),
        arithmetic("Table I", "uplink saved over TFL, Dir(0.4), about", 60, saved(low, "TFL", 2), 5, " %"),
        arithmetic("Table I", "uplink saved over TFL, Dir(0.6), about", 50, saved(high, "TFL", 2), 5, " %"),
        arithmetic("Table I", "time saved over HDC, GTSRB, Dir(0.6)", 80, saved(signs, "HDC", 1), 5, " %"),
        arithmetic(
            "Table I", "time saved over GAN, GTSRB, Dir(0.6)", 70, saved(signs, "GAN (w/o DM)", 1), 5, " %"
        ),
        arithmetic(
            "Table I", "accuracy above TFL, Dir(0.4)", 11.35, low["FIMI"][3] - low["TFL"][3], 0.005, " points"
        ),
        arithmetic(
            "Table I",
            "accuracy above TFL, Dir(0.6)",
            4.46,
            high["FIMI"][3] - high["TFL"][3],
            0.005,
            " points",
        ),
    ]
    order = ["FIMI", "GAN (w/o DM)", "SST", "HDC", "SEMI", "TFL"]
    for (data, mixture), block in fimi_claims.TABLE_I.items():
        listed = sorted(block, key=lambda method: block[method][1])
        claimed = [method for method in order if method in block]
        found.append(
            Entry(
                "Fig. 4",
                f"{data}, Dir({mixture}): order of convergence, against Table I's own latencies",
                " < ".join(claimed),
                " < ".join(listed),
                Verdict.REPRODUCED if listed == claimed else Verdict.DIFFERS,
                "" if listed == claimed else "The table has another order than the text.",
            )
        )
    return found


def claims(results: Results) -> list[Entry]:
    """Judge Figs. 4 and 5 and the claims about them by what was trained."""
    found = [
        Entry(
            "Fig. 4",
            f"({panels}) accuracy over {what}, CIFAR10 and GTSRB",
            "curves",
            "",
            Verdict.NEEDS,
            CIFAR,
        )
        for panels, what in (("a-d", "energy"), ("e-h", "time"))
    ]
    measured = False
    for data in DATA:
        for row in rows_of(results, f"training-{data}"):
            if row["kind"] != "claim":
                continue
            measured = True
            place, _, text = row["claim"].partition(": ")
            where = "Fig. 5" if place.startswith("Fig. 5") else "Fig. 4"
            panel = place.removeprefix("Fig. 5") + " " if where == "Fig. 5" else ""
            verdict = of_word(row["verdict"])
            column, _, difference = row["difference"].partition(": ")
            why = {
                Verdict.REPRODUCED: "",
                Verdict.DIFFERS: "Other data, networks and generators than the paper's.",
                Verdict.NEEDS: f"{row['verdict']}: more seeds, `radioopt reproduce fimi --only training --seeds 40`",
            }[verdict]
            found.append(
                Entry(
                    where,
                    f"{panel}{text}, Dir({row['Dir']})",
                    "claimed",
                    f"{data}: {MEASURED.get(column, column)}: {difference}",
                    verdict,
                    why,
                )
            )
    if not measured:
        for claim in fimi_claims.CLAIMS:
            place, _, text = claim.text.partition(": ")
            where = "Fig. 5" if place.startswith("Fig. 5") else "Fig. 4"
            panel = place.removeprefix("Fig. 5") + " " if where == "Fig. 5" else ""
            found.append(Entry(where, f"{panel}{text}", "claimed", "", Verdict.NEEDS, RUN))
    rows = {row["generator"]: row for row in rows_of(results, "generators-digits")}
    if rows:
        one, other = rows["diffusion"]["on generated"], rows["gan"]["on generated"]
        better = float(one.split()[0]) > float(other.split()[0])
        found.append(
            Entry(
                "Fig. 5",
                "(d) diffusion makes better samples than a GAN",
                "pictures",
                f"accuracy of a classifier trained on them: {one} against {other}, digits",
                Verdict.REPRODUCED if better else Verdict.DIFFERS,
                "" if better else "The GAN's samples teach more here.",
            )
        )
    else:
        run = "`radioopt reproduce fimi --only generators`"
        found.append(
            Entry(
                "Fig. 5", "(d) diffusion makes better samples than a GAN", "pictures", "", Verdict.NEEDS, run
            )
        )
    return found
