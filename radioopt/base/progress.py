"""Progress bars on standard error: only on a terminal, and only for what takes longer than a second."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

PATIENCE_S = 1.0


class Report(Protocol):
    """Tells how far the work is."""

    def __call__(self, completed: float, note: str = "") -> None:
        """Show this much of the total, with a few words."""
        ...


@contextmanager
def progress_bar(title: str, total: float, *, enabled: bool = True) -> Iterator[Report]:
    """Show a bar for the work inside the block.

    Parameters
    ----------
    title : str
        What is being done.
    total : float
        Amount of work.
    enabled : bool, default True
        False shows nothing.

    Yields
    ------
    callable
        ``report(completed, note)``.
    """
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        transient=True,
        disable=not (enabled and console.is_terminal),
    )
    bar = bars.add_task(title, total=total, note="")
    started = time.monotonic()

    def report(completed: float, note: str = "") -> None:
        bars.update(bar, completed=completed, note=note)
        if not bars.live.is_started and time.monotonic() - started > PATIENCE_S:
            bars.start()

    try:
        yield report
    finally:
        bars.stop()
