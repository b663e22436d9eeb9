"""Bringing the records of one store into another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tirastore.progress import progress
from tirastore.reports import ImportReport

if TYPE_CHECKING:
    from tirastore import _core

__all__ = ["merge", "refuse_other_machine"]

_PAGE = 1000
_DESCRIBED = 100
_BEFORE_THE_FIRST = -(2**63)
#: Stores that were created outside of Slurm.
_ANY_CPUS = "N/A"


def merge(core: _core.Store, other: _core.Store) -> ImportReport:
    """Bring all records of `other` in, page by page; see :meth:`tirastore.TiraStore.merge`."""
    read = written = skipped = 0
    errors: list[str] = []
    row: int | None = _BEFORE_THE_FIRST
    with progress(f"merging {other.db_path.name}", other.count()) as done:
        while row is not None:
            on_page, new, damaged, row = core.merge_page(other, row, _PAGE)
            read, written, skipped = read + on_page, written + new, skipped + len(damaged)
            errors += [
                f"record {key}: {cause}" for key, cause in damaged[: _DESCRIBED - len(errors)]
            ]
            done(read)
    return ImportReport(read, written, read - written - skipped, skipped, tuple(errors))


def refuse_other_machine(core: _core.Store, other: _core.Store) -> None:
    """Raise ``ValueError`` where two stores are of different kinds of nodes."""
    for name, what in (("cpu_model", "CPU"), ("slurm_cpus", "CPUs per Slurm task")):
        mine, others = (" ".join((of.get_meta(name) or "").split()) for of in (core, other))
        if mine != others and not (name == "slurm_cpus" and _ANY_CPUS in (mine, others)):
            raise ValueError(
                f"{other.db_path} is of another kind of node ({what}: {others!r}, here {mine!r}): "
                "its times cannot be compared with those of this store. To merge it all the same, "
                "open this store with allow_cpu_mismatch=True"
            )
