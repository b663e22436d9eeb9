"""A user of stores: ``python tests/users.py UID UMASK``.

It does what a test asks for in processes of its own, and answers with what came of it.
"""

from __future__ import annotations

import json
import linecache  # noqa: F401 -- Python may lie where another user may not import from
import os
import signal
import sqlite3
import subprocess
import sys
import tokenize  # noqa: F401
import traceback
import warnings
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from support import SOURCE, hold_token, lock_of, open_store, reference_program_hash, schedule

from tirastore import TiraStoreError
from tirastore._lock import HardLinkLock

#: Takeover time of the stores here.
TAKEOVER = 0.5


class User:
    """One who has no group in common with others."""

    def __init__(self, uid: int, umask: int) -> None:
        self.uid = uid
        self._server = subprocess.Popen(
            [sys.executable, __file__, str(uid), str(umask)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd="/",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.kill()
        self._server.communicate()

    def does(self, action: str, calls: list[list[Any]]) -> list[Any]:
        """Do all of `calls` at once, and return what came of each."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps([action, calls]) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())


def use(path: str, lock: str, first: int) -> dict[str, Any]:
    """Record a few schedules, and tell what the store holds then."""
    options = {"lock": lock, "stale_lock_timeout": TAKEOVER, "lock_timeout": 30.0}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with open_store(Path(path), **options) as store:
                for number in range(first, first + 3):
                    store.record("blur", SOURCE, schedule(number), True, times(number))
                found = store.get_program_records("blur", SOURCE)
        except TiraStoreError as error:
            return {"error": type(error).__name__, "text": str(error)}
    rows = [[result.schedule, result.execution_times] for result in found]
    return {"rows": rows, "warnings": [str(warning.message) for warning in caught]}


def times(number: int) -> list[float]:
    """Return what is recorded as the `number`-th: enough for its page to be written early."""
    return [float(number)] * 60


#: What is open, or held, until the end: dropped, it would be rolled back, or released.
KEPT: list[Any] = []


def die_inside(path: str, lock: str, *, holding: bool, writing: bool, elsewhere: bool) -> None:
    """Be killed while `holding` the lock; `writing`, in the middle of a transaction.

    A process that seems to be `elsewhere` cannot be known to be dead: it is only silent.
    """
    place = lock_of(Path(path))
    if holding and lock == "token":
        hold_token(place, os.getpid(), flags="W" if writing else "", elsewhere=elsewhere)
    elif holding:
        KEPT.append(HardLinkLock(place))
        KEPT[-1].acquire()
        if elsewhere:
            holder = {"hostname": "elsewhere", "pid": 4711, "timestamp": 0.0}
            place.write_text(json.dumps(holder))
    if writing:
        leave_a_hot_journal(Path(path), "PERSIST" if lock == "token" else "DELETE")
    os.kill(os.getpid(), signal.SIGKILL)


def leave_a_hot_journal(path: Path, journal_mode: str) -> None:
    """Begin a transaction, pages of which reach the file, and do not end it."""
    # Nobody else uses it: no locks, which may be refused (test_without_locks).
    uri = f"file:{quote(str(path))}?vfs=unix-none"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    for setting in ("cache_size = 1", "cache_spill = 1", f"journal_mode = {journal_mode}"):
        connection.execute(f"PRAGMA {setting}")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE records SET result_json = 'never committed', hostname = 'x'")
    row = "VALUES (?, ?, 's', 'never committed', 'h', 'u', 'd', 'd', '')"
    for number in range(200):
        key = f"uncommitted {number:060}"
        connection.execute(f"INSERT INTO records {row}", (key, reference_program_hash(SOURCE)))
    assert b"never committed" in path.read_bytes(), "no page was written early"
    assert path.with_name(f"{path.name}-journal").read_bytes()[:1] not in (b"", b"\0")
    KEPT.append(connection)


def serve() -> None:
    for line in sys.stdin:
        action, calls = json.loads(line)
        children = []
        for call in calls:
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                answer: Any = None
                try:
                    answer = _do(action, call)
                except BaseException:  # noqa: BLE001 -- told to the test
                    answer = {"failed": traceback.format_exc()}
                os.write(writing, json.dumps(answer).encode())
                os._exit(0)
            os.close(writing)
            children.append((child, reading))
        answers = []
        for child, reading in children:
            with os.fdopen(reading) as pipe:
                text = pipe.read()
            os.waitpid(child, 0)
            answers.append(json.loads(text) if text else "killed")
        print(json.dumps(answers), flush=True)


def _do(action: str, call: list[Any]) -> Any:
    if action == "use":
        return use(*call)
    path, lock, what = call
    return die_inside(path, lock, **what)


if __name__ == "__main__":
    _, uid, umask = sys.argv
    os.setgroups([])
    os.setgid(int(uid))
    os.setuid(int(uid))
    os.umask(int(umask))
    serve()
