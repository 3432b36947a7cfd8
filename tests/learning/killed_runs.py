"""Run by test_checkpoint: trains in child processes, kills them with SIGKILL, and lets them go on.

Prints a line of JSON per scheme: whether the numbers are those of an unbroken run, and in which rounds it was killed.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

from learning import SharePublic, train
from learning.models.weights import digest_of
from learning.runs.checkpoint import _read
from radioopt import ChannelTrace, Scenario

ROUNDS, KILLS = 10, 2


def scenario(name):
    """Few devices, each round with another channel."""
    if name != "feel-cpu":
        return Scenario.load(name).replace({"devices.count": 4})
    config = Scenario.load("feel-cpu").to_dict()
    config["cell"]["fading"] = "block"
    config["devices"]["count"] = 4
    return Scenario.from_dict(config)


def numbers(options, **more):
    """All that a run gives: the account per round and per device, and every bit of the weights."""
    options = {"scenario": "feel-cpu", "partition": "shards", "data": "digits@300+100", **options, **more}
    if share := options.pop("share", None):
        options["before"] = [SharePublic(share=share)]
    if rates := options.pop("rates", None):
        options["trace"] = ChannelTrace.from_arrays(**rates, interpolate="linear", beyond="repeat")
    result = train(scenario(options.pop("scenario")), rounds=ROUNDS, seed=5, **options)
    models = [digest_of(result.weights(device)) for device in range(len(result.task.parts))]
    weights = [digest_of(result.state.parameters), *models]
    return [result.ledger.to_csv(), result.ledger.to_csv("device"), weights, result.stopped]


def rounds_in(file):
    return len(_read(file)[0]["entries"]) if file.exists() else 0


def child(options, file, answer):
    """Train in another process, which writes its numbers down when it is done."""
    pid = os.fork()
    if pid == 0:
        try:
            answer.write_text(json.dumps(numbers(options, checkpoint=file, every=1)))
            os._exit(0)
        except BaseException as error:
            print(error, file=sys.stderr, flush=True)
            os._exit(1)
    return pid


def kill_and_go_on(options, folder, draw):
    file, answer = folder / "run.npz", folder / "answer.json"
    killed = []
    while len(killed) < KILLS:
        before, pid = rounds_in(file), child(options, file, answer)
        while rounds_in(file) == before and os.waitpid(pid, os.WNOHANG) == (0, 0):
            time.sleep(0.001)
        time.sleep(draw.uniform(0.0, 0.02))
        try:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        except (ProcessLookupError, ChildProcessError):
            break  # it was done sooner
        killed.append(rounds_in(file))
    _, status = os.waitpid(child(options, file, answer), 0)
    assert status == 0
    return killed, json.loads(answer.read_text())


def main(folder, schemes):
    draw = random.Random(0)
    for name, options in schemes.items():
        place = Path(folder) / name
        place.mkdir()
        unbroken = numbers(options)
        killed, resumed = kill_and_go_on(options, place, draw)
        same = [a == b for a, b in zip(unbroken, resumed, strict=True)]
        print(json.dumps({"scheme": name, "same": same, "killed": killed}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
