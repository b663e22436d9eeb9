"""How soon one path shows what was done through another one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tirastore.doctor.peer import Peer, ask
from tirastore.doctor.report import Finding, note, ok, problem

if TYPE_CHECKING:
    from tirastore._core import FileSystem

LIMIT = 6.0
_SHOWN = {
    "create": "a new file",
    "list": "a new name in a listing",
    "unlink": "a removed file",
    "replace": "a file replaced by rename",
    "append": "a new size",
    "rewrite": "new contents, opened again",
    "kept": "new contents of an open file",
    "link": "a new link count",
}


def changes(
    one: Peer, other: Peer, file_system: FileSystem, *, between: str, limit: float | None = None
) -> list[Finding]:
    """Change files on each side and watch from the other one."""
    limit = LIMIT if limit is None else limit
    worst: dict[str, float | None] = {}
    for tag, writer, reader in (("there", one, other), ("back", other, one)):
        ask(writer, "lay", tag=tag)
        ask(reader, "arrive", name=f"link.{tag}", limit=limit)
        ask(reader, "prime", tag=tag)
        changed = ask(writer, "change", tag=tag)
        for name, seconds in ask(reader, "watch", tag=tag, names=changed, limit=limit).items():
            worst[name] = max(worst.get(name, 0.0), seconds, key=_or_never)
    late = {name: seconds for name, seconds in worst.items() if _or_never(seconds) > 0}
    check = f"changes are seen {between}"
    if not late:
        return [ok(check, f"all {len(worst)} kinds of change at once, both ways")]
    seen = "\n".join(
        f"{_SHOWN[name]}: {_after(late[name], limit)}" for name in _SHOWN if name in late
    )
    at_once = len(worst) - len(late)
    seen += f"\nother kinds of change at once: {at_once}" if at_once else ""
    if file_system.coherent:
        return [
            problem(
                check,
                seen,
                f"{file_system.kind} should show every change at once, and a store here would "
                "rely on it. Look for mount options that cache, or a layer in between; do not keep "
                "a store here until this is clear.",
            )
        ]
    return [
        note(
            check,
            seen,
            "A store here opens its file after each acquisition of the lock and relies on none of "
            "this. Lookups take the lock.",
        )
    ]


def _or_never(seconds: float | None) -> float:
    return float("inf") if seconds is None else seconds


def _after(seconds: float | None, limit: float) -> str:
    return f"not within {limit:g} s" if seconds is None else f"after {_rounded(seconds)}"


def _rounded(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
