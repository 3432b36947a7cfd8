"""Pages of the documentation that say what of a paper reproduces, from stored results.

``python -m validation.reproduce.pages`` writes them anew; ``--take FOLDER`` first takes the results of a run of
``radioopt reproduce --folder FOLDER`` into the project.
"""

from __future__ import annotations

import argparse
import shutil
from collections import Counter
from pathlib import Path

from radioopt.base.files import write_whole
from validation.reproduce import registry
from validation.reproduce.verdicts import Entry, Results, Verdict

DOCS = Path(__file__).resolve().parents[2] / "docs"
TITLES = {
    "feel": ("FEEL", "feel.md", "training_feel.md"),
    "fimi": ("FIMI", "fimi.md", "training_fimi.md"),
    "dtkd": ("DT-KD", "dtkd.md", "training_dtkd.md"),
    "d2d": ("D2D", "d2d.md", "training_d2d.md"),
    "mix2fld": ("Mix2FLD", "mix2fld.md"),
}


def counts(entries: list[Entry]) -> dict[Verdict, int]:
    """Count the verdicts, in their order."""
    found = Counter(entry.verdict for entry in entries)
    return {verdict: found[verdict] for verdict in Verdict}


def page(paper: str, results: Results, folder: Path = registry.STORED) -> str:
    """Write the page of a paper.

    Parameters
    ----------
    paper : str
        A key of :data:`validation.reproduce.registry.STUDIES`.
    results : mapping
        Results by name.
    folder : pathlib.Path
        Where they come from; the project's own are called stored.

    Returns
    -------
    str
        Markdown.

    Examples
    --------
    >>> page("d2d", {}).splitlines()[0]
    '# D2D: what of the paper reproduces'
    """
    title, *links = TITLES[paper]
    found = registry.entries(paper, results)
    words = ("the problem and the corrections to its paper", "training with it")
    more = ", ".join(f"[{what}]({link})" for what, link in zip(words, links, strict=False))
    whose = (
        "the results stored in the repository" if folder == registry.STORED else f"the results in {folder}"
    )
    lines = [
        f"# {title}: what of the paper reproduces",
        "",
        f"`python -m validation.reproduce.pages` writes this page from {whose}; `radioopt reproduce {paper}`",
        "measures them again.",
        "",
        f"Read on: {more}.",
        "",
        "Every figure, table value and numeric claim of the paper has one of four verdicts:",
        "",
        "| verdict | entries | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| {verdict} | {count} | {MEANINGS[verdict]} |" for verdict, count in counts(found).items()]
    lines += ["", registry.note(paper)]
    often = [why for why, count in Counter(entry.why for entry in found).items() if count > 2 and why]
    where = ""
    for entry in found:
        if entry.where != where:
            where = entry.where
            lines += ["", f"## {where}", "", "| what | printed | ours | verdict |", "|---|---|---|---|"]
        verdict = f"**{entry.verdict}**"
        if entry.why in often:
            verdict += f": [note {often.index(entry.why) + 1}](#notes)"
        elif entry.why:
            verdict += f": {entry.why}"
        cells = (entry.what, entry.printed, entry.ours, verdict)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") or "–" for cell in cells) + " |")
    if often:
        lines += ["", "## Notes", "", *(f"{number}. {why}" for number, why in enumerate(often, 1))]
    lines += ["", "## What was measured", "", "| study | what | setting | command |", "|---|---|---|---|"]
    for study in registry.STUDIES[paper]:
        names = [name for name in results if name == study.name or name.startswith(f"{study.name}-")]
        for name in names or [""]:
            if name:
                setting = ", ".join(f"{key}: {value}" for key, value in results[name]["setting"].items())
                lines.append(f"| {name} | {study.summary} | {setting} | `{results[name]['command']}` |")
            else:
                run = f"radioopt reproduce {paper} --only {study.name}"
                lines.append(f"| {study.name} | {study.summary} | not measured yet | `{run}` |")
    return "\n".join(lines) + "\n"


MEANINGS = {
    Verdict.REPRODUCED: "ours agrees with what is printed, within its interval or the printed digits",
    Verdict.DIFFERS: "ours is another value or has another sign, and the reason is given",
    Verdict.UNPRINTED: "the paper does not print what one would have to know",
    Verdict.NEEDS: "the command is there; the data or the computing time were not, or more seeds have to tell",
}


def main() -> None:
    """Write all pages."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--take", metavar="FOLDER", type=Path, help="a run's folder, whose results are stored"
    )
    args = parser.parse_args()
    if args.take is not None:
        for path in sorted((args.take / "results").glob("*/*.json")):
            (registry.STORED / path.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, registry.STORED / path.parent.name / path.name)
            print(f"stored: {path.parent.name}/{path.name}")
    for paper in registry.PAPERS:
        results = registry.load(paper, registry.STORED)
        path = write_whole(DOCS / f"reproduction_{paper}.md", page(paper, results).encode())
        words = ", ".join(f"{n} {v}" for v, n in counts(registry.entries(paper, results)).items())
        print(f"{path.name}: {words}")


if __name__ == "__main__":
    main()
