"""What Mix2FLD's paper prints: S. Oh et al., IEEE Communications Letters, 2020."""

from __future__ import annotations

import itertools

from radioopt import Scenario
from validation.reproduce.mix2fld_privacy import AS_PRINTED
from validation.reproduce.mix2fld_privacy import PRINTED as PRIVACY
from validation.reproduce.verdicts import Entry, Results, Verdict, arithmetic, drawings, of_word, rows_of

PRINTED = ("Fig. 1", "Fig. 2", "Fig. 3", "Table I", "Table II", "Table III", "Section IV")
NOTE = (
    "Accuracies are of smaller networks on other data than the paper's, ten seeds, at 103 slots. Tables II and III are"
    " measured on digits in the row MNIST and on Fashion-MNIST in the row FMNIST, shifted by one constant a row, since"
    " the scale of the pixels is not printed."
)
RUN = "`radioopt reproduce mix2fld --only tables`"
#: data sets that the comparison is measured on
DATA = ("digits", "fashion-mnist")
#: figures to which a claim belongs, by the words that it begins with
PLACES = {
    "Fig. 3": ("IID: fifty", "non-IID: fifty", "IID: variance", "non-IID: variance"),
    "Fig. 2": ("",),
}
#: why what the claims say is not found
REASONS = {
    "Mix2FLD above FL": "The gap is that of rare labels alone, and smaller than printed.",
    "Mix2FLD above FD": "The gap is that of rare labels alone, and smaller than printed.",
    "FD above MixFLD": "Mixed samples did not harm the server's model here.",
    "symmetric, non-IID: Mix2FLD as high as FL": "FL averages weights of all devices and stays ahead.",
    "target": "Time to compute is equal for all and outweighs the slots.",
    "converged": "The rule to stop is met late or never within these rounds.",
    "drops": "Accuracy rises at the download, as devices start from a better model than their own.",
}
OTHERWISE = (
    "A smaller network, other data and fewer steps than the paper's; `--full` has its steps and network."
)


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
    found = drawings({"Fig. 1": "operation, and mixing and unmixing of two samples"})
    found.append(
        Entry("Table I", "symbols", "a list of symbols", "", Verdict.UNPRINTED, "It holds no values.")
    )
    return [*found, *settings(), *payloads(results), *curves(results), *privacy(results)]


def settings() -> list[Entry]:
    """Compare the printed settings with the scenario."""
    known = Scenario.load("mix2fld").to_dict()
    mine, radio, devices = known["mix2fld"], known["radio"], known["devices"]
    pairs = {
        "devices": (10, devices["count"]),
        "bandwidth [MHz]": (10, radio["bandwidth_hz"] / 1e6),
        "power up [dBm]": (23, devices["transmit_power_dbm"]),
        "power down [dBm]": (40, radio["downlink_power_dbm"]),
        "distance [km]": (1, devices["distance_m"] / 1e3),
        "path loss exponent": (4, known["cell"]["path_loss"]["exponent"]),
        "noise density [dBm/Hz]": (-174, radio["noise_psd_dbm_per_hz"]),
        "slot [ms]": (1, 1e3 * mine["slot_s"]),
        "weights": (12_544, mine["num_weights"]),
        "labels": (10, mine["num_labels"]),
        "bits of a sample": (6_272, mine["sample_bits"]),
    }
    found = [
        Entry("Section IV", name, f"{printed:g}", f"{ours:g}, scenario mix2fld", Verdict.REPRODUCED)
        if printed == ours
        else Entry(
            "Section IV", name, f"{printed:g}", f"{ours:g}", Verdict.DIFFERS, "The scenario has another."
        )
        for name, (printed, ours) in pairs.items()
    ]
    found.append(
        Entry(
            "Section IV",
            "threshold of the SNR",
            "3",
            "3, linear",
            Verdict.REPRODUCED,
            "In decibel the weights would need 127 slots.",
        )
    )
    found.append(
        Entry(
            "Section IV",
            "samples of a device with rare labels",
            "500",
            "2 x 2 + 8 x 62 = 500",
            Verdict.REPRODUCED,
        )
    )
    found.append(
        Entry(
            "Section IV",
            "seconds to compute",
            "measured, not printed",
            "0.5 s a round, assumed",
            Verdict.UNPRINTED,
            "The paper does not print how long steps take.",
        )
    )
    return found


def payloads(results: Results) -> list[Entry]:
    """Judge what follows from payloads and slots in closed form."""
    weights, outputs, sample = 12_544 * 32.0, 10 * 10 * 32.0, 6_272.0
    found = [
        Entry(
            "Section IV",
            "uplink payload of FL over that of Mix2FLD, up to",
            "42.4",
            ", ".join(
                f"{weights / (outputs + count * sample):.3g} with {count} samples in the first round"
                for count in (10, 50)
            )
            + f", {weights / outputs:.4g} later",
            Verdict.DIFFERS,
            f"{weights / (outputs + sample):.1f} is one seed sample in every round, by the paper's own formulas.",
        )
    ]
    rows = [row for row in rows_of(results, "links") if row["devices"] == 10 and row["payload"] == "weights"]
    for row in rows:
        limits = {limit: row[f"outage at {limit}"] for limit in (100, 103, 110)}
        found.append(
            Entry(
                "Section IV",
                f"longest upload of 100 slots: FL's weights, {row['channel']} channels",
                "FL uploads",
                f"{row['at best']:g} slots at best; outage "
                + ", ".join(f"{100 * outage:.4g} % at {limit}" for limit, outage in limits.items()),
                Verdict.DIFFERS,
                "The weights do not fit into the printed limit; 103 slots are used for the comparison.",
            )
        )
    if not rows:
        found.append(
            Entry(
                "Section IV",
                "longest upload of 100 slots",
                "FL uploads",
                "",
                Verdict.NEEDS,
                "`radioopt reproduce mix2fld --only links`",
            )
        )
    return found


def curves(results: Results) -> list[Entry]:
    """Judge Figs. 2 and 3 and what the text says of them."""
    found = [
        Entry(
            "Fig. 2",
            f"({letter}) curves of accuracy over time, {channel} channels, {partition}",
            "curves",
            "",
            Verdict.NEEDS,
            "MNIST, 6,400 steps a round: `radioopt reproduce mix2fld --only tables --data fashion-mnist --full`. "
            "What the text reads from the curves is judged below.",
        )
        for letter, (partition, channel) in zip(
            "abcd", itertools.product(("IID", "non-IID"), ("asymmetric", "symmetric")), strict=True
        )
    ]
    found.append(
        Entry(
            "Fig. 3",
            "accuracies over devices, 10 to 50 devices",
            "distributions",
            "",
            Verdict.NEEDS,
            "MNIST, 6,400 steps a round: `radioopt reproduce mix2fld --only tables --data fashion-mnist --full`.",
        )
    )
    claims = [
        (data, row)
        for data in DATA
        for row in rows_of(results, f"tables-{data}")
        if row.get("kind") == "claim"
    ]
    for data, row in claims:
        outcome = of_word(row["outcome"])
        why = ""
        if outcome is Verdict.DIFFERS:
            why = next((reason for word, reason in REASONS.items() if word in row["claim"]), OTHERWISE)
        elif outcome is Verdict.NEEDS:
            why = (
                f"Ten seeds do not tell: `radioopt reproduce mix2fld --only tables --data {data} --seeds 40`"
            )
        where = next(
            place for place, words in PLACES.items() if any(row["claim"].startswith(word) for word in words)
        )
        text, _, printed = row["claim"].partition(", printed ")
        found.append(
            Entry(
                where,
                text,
                row.get("printed") or printed or "claimed",
                f"{data}: {row['found']}",
                outcome,
                why,
            )
        )
    if not claims:
        for where in PLACES:
            found.append(Entry(where, "what the text claims", "claims", "", Verdict.NEEDS, RUN))
    return sorted(found, key=lambda entry: entry.where)


def privacy(results: Results) -> list[Entry]:
    """Judge Tables II and III, each value up to the unknown scale of the pixels."""
    found = []
    measured: dict[tuple[str, str], dict[str, list[float]]] = {}
    for name in ("privacy-digits", "privacy-fashion-mnist"):
        if name in results:
            row = results[name]["setting"]["row"]
            for table, reading in itertools.product(PRIVACY, ("as printed", "as fits")):
                chosen = [
                    one for one in results[name]["rows"] if (one["table"], one["ratios"]) == (table, reading)
                ]
                if chosen:
                    values = [one["privacy"] + one["shift"] for one in chosen]
                    measured.setdefault((table, row), {})[reading] = values
    for where, table, tolerance in (("Table II", "Mixup", 0.02), ("Table III", "Mix2up", 0.1)):
        for data, printed in PRIVACY[table].items():
            ours = measured.get((table, data))
            for place, (ratio, value) in enumerate(zip(AS_PRINTED, printed, strict=True)):
                what = f"{data}, mixing ratio {ratio:g}"
                if ours is None:
                    files = "digits" if data == "MNIST" else "fashion-mnist"
                    why = (
                        f"`radioopt reproduce mix2fld --only privacy --data {files}`"
                        if data in ("MNIST", "FMNIST")
                        else "Needs CIFAR's files: `validation.reproduce.mix2fld_privacy.measure` takes any data."
                    )
                    found.append(Entry(where, what, f"{value:.3f}", "", Verdict.NEEDS, why))
                    continue
                literal, fits = ours["as printed"][place], ours["as fits"][place]
                shown = f"{fits:.3f} at {(0.01, 0.1, 0.2, 0.3, 0.4, 0.49)[place]:g}"
                if place in (0, 5):
                    shown += f", {literal:.3f} at {ratio:g}"
                if abs(fits - value) > tolerance:
                    verdict, why = Verdict.DIFFERS, "Against all four raw samples that a result is made of."
                elif abs(literal - value) > tolerance:
                    verdict, why = Verdict.DIFFERS, "It fits the ratio .01 or .49, not the printed one."
                else:
                    verdict, why = Verdict.REPRODUCED, ""
                found.append(Entry(where, what, f"{value:.3f}", shown, verdict, why))
    for name in ("privacy-digits", "privacy-fashion-mnist"):
        if name in results:
            crossing = results[name]["setting"]["Mix2up above Mixup from lambda"]
            found.append(
                Entry(
                    "Table III",
                    f"unmixed samples are more private than mixed ones ({results[name]['setting']['data']})",
                    "for all ratios",
                    f"for ratios above {crossing:g}",
                    Verdict.REPRODUCED if crossing == 0 else Verdict.DIFFERS,
                    "" if crossing == 0 else "Unmixing at small ratios is close to one of the raw samples.",
                )
            )
    found.append(
        arithmetic(
            "Table II",
            "difference of ratios .1 and .4 is log 4 (MNIST)",
            round(5.852 - 4.465, 3),
            1.386294,
            0.0015,
        )
    )
    return sorted(found, key=lambda entry: entry.where)
