"""The storage layer under a lock that the caller holds, for scripts written against the original.

New code uses :class:`tirastore.TiraStore`, which locks by itself.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from tirastore import _core

__all__ = ["Store"]


class Store:
    """The original's low-level store. **It takes no lock**: hold one around every call.

    Parameters
    ----------
    db_path : str or Path
        The SQLite file.
    """

    def __init__(self, db_path: str | Path) -> None:
        self.db_path = Path(db_path)

    def _open(self, cpu_model: str | None = None, slurm_cpus: str | None = None) -> _core.Store:
        return _core.Store(
            self.db_path,
            source_project="",
            cpu_model=cpu_model,
            slurm_cpus=slurm_cpus,
            allow_cpu_mismatch=True,
            stale_lock_timeout=600.0,
            lock_timeout=600.0,
            lock="auto",
            read_only=False,
            share=None,
            dialects=["tiralib"],
            environment=None,
            memory_cache_mb=0.0,
            locked_by_caller=True,
        )

    @cached_property
    def _core(self) -> _core.Store:
        return self._open()

    def init_db(self, cpu_model: str, slurm_cpus: str) -> None:
        """Create the store, if it is not there."""
        self.__dict__["_core"] = self._open(cpu_model, slurm_cpus)

    def ensure_tables(self) -> None:
        """Create the store, if it is not there, for this machine."""
        self.__dict__["_core"] = self._open()

    def get_meta(self, key: str) -> str | None:
        """Return a value of ``db_meta``."""
        return self._core.get_meta(key)

    def set_meta(self, key: str, value: str) -> None:
        """Set a value of ``db_meta``."""
        self._core.set_meta(key, value)

    def get_cpu_model(self) -> str | None:
        """Return the CPU model of the store."""
        return self.get_meta("cpu_model")

    def get_slurm_cpus(self) -> str | None:
        """Return the CPUs per Slurm task of the store."""
        return self.get_meta("slurm_cpus")

    def put_program(self, program_hash: str, program_name: str, source_code: str) -> bool:
        """Add a program; ``True`` if it is new."""
        return self._core.put_program(program_hash, program_name, source_code)

    def get_program(self, program_hash: str) -> dict[str, Any] | None:
        """Return a program by its hash."""
        row = self._core.get_program(program_hash)
        return None if row is None else _program(row)

    def get_programs_by_name(self, program_name: str) -> list[dict[str, Any]]:
        """Return the programs recorded under a name."""
        return [_program(row) for row in self._core.get_program_source(program_name)]

    def program_count(self) -> int:
        """Return the number of programs."""
        return self._core.program_count()

    def contains(self, key: str) -> bool:
        """Tell whether there is a record under `key`."""
        return self._core.contains_key(key)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return a record joined with its program."""
        return self._core.get(key)

    def put(
        self,
        key: str,
        program_hash: str,
        schedule: str,
        result_json: str,
        hostname: str,
        username: str,
        source_project: str,
        overwrite: bool = False,
    ) -> bool:
        """Write a record; ``True`` if it was written."""
        rows = [(key, schedule, result_json)]
        written = self.put_many(rows, program_hash, hostname, username, source_project, overwrite)
        return written == 1

    def put_many(
        self,
        rows: list[tuple[str, str, str]],
        program_hash: str,
        hostname: str,
        username: str,
        source_project: str,
        overwrite: bool = False,
    ) -> int:
        """Write (key, schedule, result_json) rows of one program; returns how many."""
        return self._core.put_raw(rows, program_hash, hostname, username, source_project, overwrite)

    def get_records_by_program_hash(self, program_hash: str) -> list[dict[str, Any]]:
        """Return the records of a program, oldest first."""
        return self._core.get_records_by_program_hash(program_hash)

    def get_all_programs_with_records(self) -> list[dict[str, Any]]:
        """Return every program with its records: all of the store in memory."""
        return [
            {
                **_program(program),
                "records": [
                    {"schedule": record["schedule"], "result_json": record["result_json"]}
                    for record in self.get_records_by_program_hash(program[0])
                ],
            }
            for program in self._core.get_all_programs()
        ]

    def delete(self, key: str) -> bool:
        """Remove a record; ``True`` if it was there."""
        return self._core.delete(key)

    def count(self) -> int:
        """Return the number of records."""
        return self._core.count()

    def stats(self) -> dict[str, Any]:
        """Return counts over the store."""
        return self._core.stats()

    def keys(self, limit: int = 0, offset: int = 0) -> list[str]:
        """Return keys in the order of creation."""
        return self._core.keys(limit, offset, None)


def _program(row: tuple[str, str, str]) -> dict[str, Any]:
    return dict(zip(("program_hash", "program_name", "source_code"), row, strict=True))
