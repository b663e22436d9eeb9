"""Measurements in bulk: into a store from files and other stores, and out of it as data sets."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from tirastore.errors import CorruptRecordWarning
from tirastore.extras import needed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tirastore import _core
    from tirastore.dataset.writers import Format as DatasetFormat
    from tirastore.ingest.formats import Format
    from tirastore.reports import DatasetReport, ImportReport
    from tirastore.store import TiraStore

__all__ = ["Transferred"]


class Transferred:
    """The part of :class:`~tirastore.TiraStore` that moves many measurements at once."""

    _core: _core.Store
    allow_cpu_mismatch: bool

    def ingest(
        self,
        path: str | Path,
        format: Format | None = None,  # noqa: A002 -- the usual name
        *,
        on_error: Literal["raise", "skip"] = "raise",
        sources: Mapping[str, str] | str | Path | None = None,
    ) -> ImportReport:
        """Record the measurements in a file. What is recorded already stays as it is.

        A run that was stopped is resumed by repeating it: what is there is not written again, and
        no lock is taken for it.

        Parameters
        ----------
        path : str or Path
            The file.
        format : {"json", "jsonl", "explored", "csv", "tsv", "parquet", "arrow"}, optional
            By default its content and name tell. ``"json"``: what :meth:`export` writes.
            ``"jsonl"``: that in lines, or an object with the columns of a table in each line.
            ``"explored"``: ``<function>_explored_schedules.json`` of LOOPer. The others are tables
            with the columns ``program_name``, ``source_code``, ``schedule``, ``is_legal``,
            ``execution_times`` (milliseconds) and, if there are any, ``status``, ``details``,
            ``hostname``, ``username``, ``source_project``, ``creation_date``, ``update_date`` and
            ``environment``.
        on_error : {"raise", "skip"}
            What to do about what cannot be recorded: stop there, or leave it out and report it.
        sources : mapping of str to str, str or Path, optional
            Sources of programs that the file names but does not hold: by name, or a directory of
            ``<name>_generator.cpp`` or ``<name>.cpp``. Without one, LOOPer's annotation of a
            program stands in for its source.

        Returns
        -------
        ImportReport
            How many measurements were read and written, and what is wrong with the others.

        Raises
        ------
        IngestError
            Something is no measurement; the text has file, line and column. What stands before
            it is in the store.
        ImportError
            Parquet and Arrow need pyarrow; the text says how to install it.
        ValueError
            The format cannot be told, or the file is a store.

        Examples
        --------
        >>> from pathlib import Path
        >>> _ = Path("runs.jsonl").write_text(
        ...     '{"program_name": "mm", "source_code": "void mm() {}", "schedule": "",'
        ...     ' "is_legal": true, "execution_times": [1.5, 1.4]}'
        ... )
        >>> print(store.ingest("runs.jsonl"))
        1 measurements read: 1 written, 0 already there
        >>> store.lookup("mm", "void mm() {}", "").execution_times
        [1.5, 1.4]
        """
        from tirastore.ingest.load import ingest  # noqa: PLC0415 -- workers import none of it

        return ingest(self._core, Path(path).expanduser(), format, on_error, sources)

    def merge(self, other_db: str | Path | TiraStore) -> ImportReport:
        """Record everything that another store holds. What is recorded already stays as it is.

        The other store may be in use, and of the original TiraStore. Records keep their host,
        user, project, dates, environment and history, programs all their names. Programs without
        records are left out.

        Parameters
        ----------
        other_db : str, Path or TiraStore
            The other store. Nothing is written to it.

        Returns
        -------
        ImportReport
            How many records were read and written, and which are damaged.

        Raises
        ------
        ValueError
            It is this store, or one of another kind of node: times of different CPUs cannot be
            compared. A store that was opened with ``allow_cpu_mismatch=True`` takes them.
        StoreNotFoundError, NotAStoreError
            There is no store at that path.

        Examples
        --------
        >>> from tirastore import TiraStore
        >>> with TiraStore("other.db") as other:
        ...     other.record("mm", "void mm() {}", "", True, [1.5])
        True
        >>> print(store.merge("other.db"))
        1 measurements read: 1 written, 0 already there
        """
        from tirastore.store import TiraStore  # noqa: PLC0415 -- which is made of this class

        if isinstance(other_db, TiraStore):
            return self._merge(other_db)
        with TiraStore(other_db, read_only=True, allow_cpu_mismatch=True) as other:
            return self._merge(other)

    def export(self, output_path: str | Path, fmt: Literal["json", "jsonl"] = "json") -> Path:
        """Write everything as JSON: programs by name, each with its schedules.

        Memory does not grow with the store; workers wait only for a copy of the file.

        Parameters
        ----------
        output_path : str or Path
            Where to. What is there is replaced once the export is complete.
        fmt : {"json", "jsonl"}
            One object, or one line for each program. A name with several sources is exported as
            ``name_v1``, ``name_v2``, leaving out what is itself a program's name.

        Returns
        -------
        Path
            The export. Each program has ``Tiramisu_cpp``, ``schedules_list`` (of
            ``schedule_str``, ``is_legal``, ``execution_times`` in milliseconds, and ``status``
            and ``details`` where they do not follow), ``program_name``, and ``further_names`` where
            it has some. Superseded runs are not exported.

        Warns
        -----
        CorruptRecordWarning
            Damaged records were written as null.

        Examples
        --------
        >>> store.export("all.json").name
        'all.json'
        """
        path, damaged = self._core.export(Path(output_path), fmt)
        if damaged:
            message = f"{damaged} damaged records: what could not be read of them is null in {path}"
            warnings.warn(message, CorruptRecordWarning, stacklevel=2)
        return path

    def export_dataset(
        self,
        path: str | Path,
        format: DatasetFormat = "parquet",  # noqa: A002 -- the usual name
        partition_by: str | Sequence[str] | None = None,
        split: Sequence[float] = (0.8, 0.2),
        seed: int = 42,
        min_runs: int = 1,
        noise_filter: bool = True,
        filters: Any = None,
    ) -> DatasetReport:
        """Write a data set for training cost models: labelled, filtered, and split by program.

        The label is ``speedup``, the best time of the unscheduled program (schedule ``""``) over
        the best time of the schedule, at least 0.01. Left out and counted are records that are
        illegal, without times, with a time of zero or less, and of programs whose unscheduled
        entry is none of the rows. The same records give the same rows, in whatever order they
        were recorded, but for the name of a program that was recorded under several. Memory does
        not grow with the store.

        Parameters
        ----------
        path : str or Path
            A directory for ``train.parquet``, ``test.parquet``, ``programs.parquet`` (with the
            sources) and ``manifest.json``. A data set that is there is replaced when the new one
            is complete; nothing else is, nor one with other files in it.
        format : {"parquet", "jsonl", "csv"}
            In CSV, lists are JSON.
        partition_by : str or sequence of str, optional
            Columns: one file for each combination of their values, in directories such as
            ``train/hostname=node01``, which stand for these columns. Each at most once.
        split : sequence of float
            Fractions of the programs in training and test, or in training, validation and test.
            A program's part depends on its hash and `seed` alone.
        seed : int
            Another one gives another split.
        min_runs : int
            Leave out records with fewer runs.
        noise_filter : bool
            Leave out records with four or more runs whose best one beats the second best by more
            than 10 %.
        filters : list, optional
            Only records that pass, as in :meth:`search`. Unscheduled entries have to, too.

        Returns
        -------
        DatasetReport
            Numbers of rows and of records left out, and a hash of the content.

        Raises
        ------
        FileExistsError
            There is something at `path` that is no data set, or a file in it that is not its own.
        ImportError
            pyarrow or NumPy is missing; the text says how to install it.
        ValueError
            A setting has no meaning, or a value of a column of `partition_by` is too long for the
            name of a directory.

        Examples
        --------
        >>> for number in range(10):
        ...     source = f"void p{number}() {{}}"
        ...     _ = store.record(f"p{number}", source, "", True, [3.0])
        ...     _ = store.record(f"p{number}", source, "P(L0,comps=['c'])", True, [1.5])
        >>> report = store.export_dataset("data")
        >>> sum(report.rows.values()), sorted(report.rows)
        (20, ['test', 'train'])
        >>> import pyarrow.parquet
        >>> pyarrow.parquet.read_table("data/train.parquet")["speedup"][0].as_py() in (1.0, 2.0)
        True
        """
        for module in ("pyarrow", "numpy"):
            needed(module, "writing a data set")
        from tirastore.dataset.export import Settings, export_dataset  # noqa: PLC0415

        by = (partition_by,) if isinstance(partition_by, str) else tuple(partition_by or ())
        settings = Settings(format, by, tuple(split), seed, min_runs, bool(noise_filter), filters)
        # This class is a part of it.
        store = cast("TiraStore", self)
        return export_dataset(store, Path(path).expanduser(), settings)

    def _merge(self, other: TiraStore) -> ImportReport:
        from tirastore.merge import merge, refuse_other_machine  # noqa: PLC0415

        if not self.allow_cpu_mismatch:
            refuse_other_machine(self._core, other._core)  # noqa: SLF001
        return merge(self._core, other._core)  # noqa: SLF001
