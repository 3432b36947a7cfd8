"""``python -m validation.fuzz``: campaigns in full, or as many trials of them as asked for."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from validation.fuzz.campaign import CAMPAIGNS, run


def main() -> int:
    """Run campaigns, print their outcomes and their faults; 1 if there are any."""
    parser = argparse.ArgumentParser(
        prog="python -m validation.fuzz", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("campaign", nargs="*", help=f"of {', '.join(CAMPAIGNS)}; all by default")
    parser.add_argument("--count", type=int, help="trials of each; in full by default, a million together")
    parser.add_argument("--first", type=int, default=0, help="seed of the first trial")
    parser.add_argument("--folder", help="where to keep what was done, and not to do it again")
    args = parser.parse_args()
    faults = 0
    for name in args.campaign or CAMPAIGNS:
        count = CAMPAIGNS[name] if args.count is None else args.count
        report = run(name, count, args.first, tell=partial(_tell, name), folder=args.folder)
        outcomes = ", ".join(f"{n} {outcome}" for outcome, n in report.outcomes.most_common())
        print(f"{name}: {sum(report.outcomes.values()):,} of {count:,} trials: {outcomes}", flush=True)
        faults += len(report.faults)
    return 1 if faults else 0


def _tell(name: str, seed: int, fault: str) -> None:
    print(f"-- {name}, seed {seed}:\n{fault}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
