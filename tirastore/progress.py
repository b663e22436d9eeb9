"""A progress bar for whoever looks at a terminal, and nothing for whoever does not."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["progress"]


@contextlib.contextmanager
def progress(title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on standard error while the block runs, if that is a terminal.

    Parameters
    ----------
    title : str
        What is done.
    total : int
        How much there is to do, in any unit.

    Yields
    ------
    callable
        To be called with how much is done.

    Examples
    --------
    >>> with progress("counting", 3) as done:
    ...     for number in range(3):
    ...         done(number + 1)
    """
    if not sys.stderr.isatty():
        yield lambda _done: None
        return
    from rich.console import Console  # noqa: PLC0415 -- only where somebody looks
    from rich.progress import Progress  # noqa: PLC0415

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done: bar.update(task, completed=done)
