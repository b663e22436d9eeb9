"""``tirastore doctor``: tells whether one node or many can keep a store in a directory.

Every check does what a store would do, in a directory of its own that is removed afterwards, and
reports what was seen. It trusts the kernel with one thing only, the name of the file system.
"""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tirastore._core import file_system
from tirastore.doctor import directory as files
from tirastore.doctor import exclusion, surroundings, visibility
from tirastore.doctor.mailbox import Remote, Task, remove
from tirastore.doctor.peer import Peer, PeerLostError, Process, ask
from tirastore.doctor.report import Finding, Report, Verdict, note, ok, problem
from tirastore.doctor.side import name_of
from tirastore.maintenance import lock_info

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tirastore._core import FileSystem

__all__ = ["Finding", "Report", "Verdict", "examine", "task_of_this_process"]

_PROCESSES = 4


def examine(
    path: str | Path, other: str | Path | None = None, *, task: Task | None = None
) -> Report:
    """Examine whether a store can be kept at a path.

    Parameters
    ----------
    path : str or pathlib.Path
        A store, a place for one, or a directory. The checks run in a directory that is made there
        and removed again.
    other : str or pathlib.Path, optional
        A second path to the same directory, such as another mount: how soon one shows what is done
        through the other, and whether both exclude each other.
    task : Task, optional
        The place of this process in a Slurm step; task 1 is the second path then, see
        `tirastore.doctor.mailbox`.

    Returns
    -------
    Report
        The findings, in the order of the checks; ``report.safe`` tells whether none is a problem.

    Raises
    ------
    FileNotFoundError
        If the directory does not exist.

    Examples
    --------
    >>> from tirastore.doctor import examine
    >>> report = examine("store.db")
    >>> report.safe
    True
    >>> report["rename() excludes"].verdict
    <Verdict.OK: 'ok'>
    """
    directory, store = _directory_of(Path(path))
    with _scratch(directory) as base:
        return _examined(directory, store, base, other, task)


def _examined(
    directory: Path,
    store: Path | None,
    base: Path | None,
    other: str | Path | None,
    task: Task | None,
) -> Report:
    found = file_system(directory)
    lock = None if store is None else _lock_of(store)
    is_there = store is not None and store.exists()
    findings = [
        *_attempt("file system", partial(surroundings.file_system, directory, found)),
        *_attempt(
            "how it is read",
            partial(surroundings.read_mode, store, lock, found, writable=base is not None),
        ),
        *_attempt("sharing", partial(surroundings.sharing, directory, store)),
        *_attempt("room", partial(surroundings.room, directory, store)),
        *_attempt("clock", surroundings.clock),
    ]
    if base is None:
        unseen = "What needs files was not checked."
        findings.append(
            note("directory", "may not be written", unseen)
            if is_there
            else problem("directory", "may not be written", f"No store can be made here. {unseen}")
        )
        return Report(directory, tuple(findings))
    # Stores that are open to original clients are locked by link().
    link_needed = is_there and lock is not None and not lock.is_dir()
    findings += _alone(base, link_needed=link_needed)
    if other is not None:
        findings += _two_paths(base, Path(other), found, link_needed=link_needed)
    if task is not None:
        findings += _two_nodes(directory, task, found, link_needed=link_needed)
    return Report(directory, tuple(findings))


def task_of_this_process() -> Task | None:
    """Return the place of this process in its Slurm step, if that has two tasks or more."""
    return Task.of(os.environ)


def _directory_of(path: Path) -> tuple[Path, Path | None]:
    """Return the directory that holds a store, and the store, unless the path is a directory."""
    resolved = path.resolve()
    if resolved.is_dir():
        return resolved, None
    if not resolved.parent.is_dir():
        raise FileNotFoundError(f"there is no directory {resolved.parent}")
    return resolved.parent, resolved


def _lock_of(store: Path) -> Path:
    return lock_info(store).path


def _alone(base: Path, *, link_needed: bool) -> list[Finding]:
    """Check what processes of this node see."""
    findings = []
    alone, own = base / "alone", base / "own"
    alone.mkdir()
    own.mkdir()
    with _processes(alone, _PROCESSES) as peers:
        for race in exclusion.RACES:
            findings += _attempt(
                race.check,
                partial(exclusion.race, race, peers, together=True, link_needed=link_needed),
            )
        findings += _attempt(
            "flock and fcntl locks", partial(exclusion.system_locks, peers[0], peers[1])
        )
    return [
        *findings,
        *_attempt("rename() replaces", partial(files.replacing, own)),
        *_attempt(
            "inodes and link counts",
            partial(files.links_and_inodes, own, link_needed=link_needed),
        ),
        *_attempt("fsync()", partial(files.syncing, own)),
        *_attempt("speed", partial(files.speed, own)),
        *_attempt("file server's clock", partial(files.server_clock, own)),
    ]


def _two_paths(base: Path, other: Path, found: FileSystem, *, link_needed: bool) -> list[Finding]:
    """Check what this path and another one see of each other."""
    directory, _ = _directory_of(other)
    pair = base / "pair"
    pair.mkdir()
    second = directory / base.name / "pair"
    with _processes(pair, 1) as one, _processes(second, 1) as two:
        if not ask(two[0], "arrive", limit=visibility.LIMIT):
            return [
                problem(
                    "second path",
                    f"{directory} does not show what is made in {base.parent}",
                    "Name two paths to one directory.",
                )
            ]
        return [
            _same_kind(directory, found),
            *_pair(
                one[0],
                two[0],
                found,
                between="between paths",
                together=True,
                link_needed=link_needed,
            ),
        ]


def _same_kind(directory: Path, found: FileSystem) -> Finding:
    second = file_system(directory)
    seen = f"{directory}: {second.kind}"
    if second.coherent != found.coherent:
        return note(
            "second path", seen, "One path is taken for coherent, the other is not: use one only."
        )
    return ok("second path", f"{seen}, the same directory")


def _two_nodes(
    directory: Path, task: Task, found: FileSystem, *, link_needed: bool
) -> list[Finding]:
    """Check what this node and that of task 1 see of each other."""
    place = task.meeting_point(directory)
    remote = Remote(place)
    try:
        host = remote.meet()
        here = os.uname().nodename
        pair = place / "pair"
        pair.mkdir()
        met = ok("second node", f"{here} and {host} meet in {directory}")
        if host == here:
            met = note("second node", f"both tasks run on {here}", "srun -N2 -n2 takes two nodes.")
        with _processes(pair, 1) as one:
            return [
                met,
                *_pair(
                    one[0],
                    remote,
                    found,
                    between="between nodes",
                    together=False,
                    link_needed=link_needed,
                ),
            ]
    except OSError as error:
        return [
            problem(
                "second node",
                str(error),
                "Do both nodes mount the same file system there, and did both tasks start?",
            )
        ]
    finally:
        remote.close()


def _pair(
    one: Peer, other: Peer, found: FileSystem, *, between: str, together: bool, link_needed: bool
) -> list[Finding]:
    """Check what two sides see of each other."""
    # The second side may believe for a while that the directory is not there.
    ask(other, "arrive", limit=visibility.LIMIT)
    findings = []
    for race in exclusion.RACES:
        findings += _attempt(
            f"{race.check} {between}",
            partial(
                exclusion.race,
                race,
                [one, other],
                between=between,
                together=together,
                link_needed=link_needed,
            ),
        )
    findings += _attempt(
        f"changes are seen {between}",
        partial(visibility.changes, one, other, found, between=between),
    )
    findings += _attempt(
        f"flock and fcntl locks {between}",
        partial(exclusion.system_locks, one, other, between=between),
    )
    return findings


def _attempt(check: str, run: Callable[[], Finding | list[Finding]]) -> list[Finding]:
    """Run one check; an operation that fails unexpectedly is what it has found."""
    try:
        found = run()
    except PeerLostError as error:
        return [problem(check, str(error), "The file system hangs, or a process was killed.")]
    except OSError as error:
        seen = f"{name_of(error.errno)}: {error.strerror or error}"
        return [problem(check, seen, "A store does the same operations and would fail, too.")]
    return found if isinstance(found, list) else [found]


@contextlib.contextmanager
def _scratch(directory: Path) -> Iterator[Path | None]:
    """Make a directory for the checks, if one can be made, and remove it whatever happens."""
    base = None
    try:
        base = Path(tempfile.mkdtemp(prefix=".tirastore-doctor-", dir=directory))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
    if base is None:
        yield None
        return
    try:
        yield base
    finally:
        remove(base)


@contextlib.contextmanager
def _processes(base: Path, count: int) -> Iterator[list[Process]]:
    """Start sides on this node, and end them."""
    with contextlib.ExitStack() as stack:
        peers = []
        for _ in range(count):
            process = Process(base)
            stack.callback(process.close)
            peers.append(process)
        yield peers
