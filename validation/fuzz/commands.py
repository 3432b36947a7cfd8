"""Command lines: whatever is typed, an exit code of ours and no traceback."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile

import numpy as np

from radioopt.cli import main
from validation.fuzz.solving import DeniedError

SCENARIOS = (
    "feel-cpu",
    "feel-gpu",
    "fimi",
    "dtkd",
    "d2d",
    "mix2fld",
    "nothing",
    "a.csv",
    "b.json",
    "c.npz",
    "",
    "-",
)
WORDS = {
    "--problem": ("feel", "fimi", "d2d", "", "x"),
    "--method": ("newton", "exact", "enumerate", "local-search", "bisection", "nosuch"),
    "--option": ("integer=true", "integer=3", "x=1", "=", "starts=2", "max_graphs=10", "node_limit=0", "seed=-1"),
    "--seed": ("0", "1", "-1", "x", "1e3", "99999999999999999999"),
    "--draws": ("0", "1", "3", "-1", "x"),
    "--gap-tol": ("0", "1e-9", "nan", "-1", "x", "inf"),
    "--save": ("a.json", "b.npz", "new/a.json", "x.txt", "", "."),
    "--set": ("bandwidth_hz=3e6", "bandwidth_hz=20", "x=1", "=", "a.b.c=2", "max_batchsize=1e30", "devices.count=3",
              "payload_bits=1e300", "transmit_power_dbm=-59", "devices.count=0", "slot_s=1e-300", "name=3"),
    "--devices": ("none.csv", "table.csv", "."),
}  # fmt: skip
FLAGS = ("--json", "--csv", "--device", "--jso", "--help", "--version", "-h", "--plot", "--unknown=3")


def trial(seed: int) -> str:
    """Run the command in a folder of its own, with what it prints kept."""
    rng = np.random.default_rng([seed, 4])
    argv = [str(rng.choice(["solve", "methods", "solve", "solve", "solve", "slove", "compare"]))]
    if argv[0].startswith("s") and rng.random() < 0.95:
        argv.append(str(rng.choice(SCENARIOS)))
    for _ in range(int(rng.integers(0, 4))):
        flag = str(rng.choice(list(WORDS)))
        argv += [flag, str(rng.choice(WORDS[flag]))] if rng.random() < 0.95 else [flag]
    if rng.random() < 0.4:
        argv.append(str(rng.choice(FLAGS)))
    here, out = (
        os.getcwd(),
        io.TextIOWrapper(io.BytesIO(), encoding=str(rng.choice(["utf-8", "ascii", "latin-1"]))),
    )
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            with open("table.csv", "w") as table:
                table.write("name,distance_m,transmit_power_dbm\nphone,100,23\ncar,200,20\n")
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()) as said:
                try:
                    code: object = main(argv)
                except SystemExit as end:  # of the parser
                    code = end.code
        finally:
            os.chdir(here)
    if code not in (0, 1, 2, 3) or "Traceback" in said.getvalue():
        raise DeniedError(f"{argv}: exit code {code}: {said.getvalue()}")
    return f"exit code {code}"
