"""Training as a Flower app on real nodes: what its server reads, does and leaves behind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from learning.flower import grid
from learning.flower.post import Mail
from learning.flower.simulation import DEADLINE_S, read, serve
from learning.flower.told import told
from learning.local.globals import fresh_torch, torch_threads
from learning.runs import folder as runs
from learning.runs.lock import locked
from radioopt.base.errors import OptionError, require

#: seconds between two looks for answers: each is a request to the SuperLink, over TLS
POLL_S = 0.2
#: keys of the app's configuration, with what they are by default
CONFIG: dict[str, Any] = {
    "scenario": "feel-cpu",
    "options": "{}",
    "nodes": 1,
    "deadline-s": DEADLINE_S,
    "min-arrived": 1,
    "clock": "simulated",
    "folder": "runs",
    "name": "flower",
}


def deploy(
    mail: Mail, config: Mapping[str, Any], *, poll_s: float = POLL_S, patience_s: float = 600.0
) -> Path:
    """Train with the nodes that are connected, and save the run.

    Parameters
    ----------
    mail : Mail
        What carries letters.
    config : mapping of str to object
        The app's configuration: ``scenario`` (a name, or a file), ``options`` (settings of :func:`learning.train` as
        JSON), ``nodes`` to wait for, ``deadline-s``, ``min-arrived``, ``clock``, and ``folder`` and ``name`` of the
        run.
    poll_s : float, default 0.2
        Seconds between two looks for answers.
    patience_s : float, default 600
        Seconds to wait for the nodes.

    Returns
    -------
    pathlib.Path
        The folder of the run, with metrics, picture, manifest and faults. If there is an unfinished run of this name,
        this one goes on from it. A line is printed per round, unless the options name other callbacks.

    Raises
    ------
    OptionError
        If a key is unknown, the options are no JSON object, or a file that they name is not there.
    """
    if unknown := sorted(config.keys() - CONFIG.keys()):
        raise OptionError(f"app: unknown setting {unknown[0]}, choose from {', '.join(CONFIG)}")
    given = CONFIG | dict(config)
    try:
        options = dict(json.loads(given["options"]))
    except (TypeError, ValueError, RecursionError) as error:
        raise OptionError(
            f'options: expected a JSON object, as {{"scheme": "fedavg"}}, got {given["options"]!r}'
        ) from error
    try:
        setup, running = read(given["scenario"], options)
        with torch_threads(1), fresh_torch():
            plans = setup.plans()
            settings = told(setup, plans)
    except FileNotFoundError as error:
        raise OptionError(
            f"no such file: {error.filename}: give its whole path, since the server runs in a folder of its own"
        ) from error
    about = {
        "scenario": plans.scenario.to_dict(),
        "app": {name: given[name] for name in ("options", "clock")},
    }
    folder = runs.begin_run(str(given["name"]), about, str(given["folder"]))
    with locked(folder / runs.LOCK, f"run {folder}"):
        result: Any = serve(
            plans,
            settings,
            mail,
            int(given["nodes"]),
            float(given["deadline-s"]),
            int(given["min-arrived"]),
            {
                "every": 1,
                "progress": False,
                "callbacks": "print",
                **running,
                "checkpoint": folder / runs.CHECKPOINT,
            },
            clock=given["clock"],
            poll_s=poll_s,
            patience_s=patience_s,
        )
        runs.finish_run(result, folder, about)
    print(f"saved in {folder.absolute()}")
    return folder


def server_app() -> Any:
    """Make the app that the server runs."""
    app = require("flwr.serverapp", "flower").ServerApp()

    @app.main()  # type: ignore[untyped-decorator]
    def main(grid_: Any, context: Any) -> None:
        deploy(grid.GridMail(grid_), context.run_config)

    return app
