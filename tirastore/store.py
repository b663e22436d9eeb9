"""The store, as Python sees it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from tirastore import _core, _defaults
from tirastore._html import table
from tirastore._search import Searched
from tirastore.administration import Administered
from tirastore.buffer import WriteBuffer
from tirastore.errors import CorruptRecordWarning, CpuMismatchWarning
from tirastore.history import Historical
from tirastore.maintenance import Maintained
from tirastore.memoize import Memoizing
from tirastore.metrics import Measured
from tirastore.records import LookupResult, choose_if_exists
from tirastore.transfer import Transferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from tirastore.records import ExecutionTimes, IfExists, Measurement, Status

__all__ = ["TiraStore"]

#: How long a notebook waits for the numbers in a store's HTML.
_GLANCE_SECONDS = 2.0


class TiraStore(Administered, Historical, Searched, Maintained, Measured, Memoizing, Transferred):
    """A store of program measurements that many processes on many nodes share.

    A drop-in replacement of the original TiraStore: same names, same file, same keys.

    Parameters
    ----------
    db_path : str or Path, optional
        The database file; ``~`` is the home directory. Created if missing, with its directory.
        Default: ``TIRASTORE_DB``, without which it must be given.
    source_project : str, optional
        Project that is written to every record. Default: ``TIRASTORE_PROJECT``, or ``""``.
    cpu_model : str, optional
        CPU model to create the store for or to pass for; default: this machine's.
    slurm_cpus : str, optional
        CPUs per Slurm task, likewise; default: ``SLURM_CPUS_PER_TASK``, or ``"N/A"``.
    allow_cpu_mismatch : bool
        Allow writes although the store belongs to another kind of node.
    stale_lock_timeout : float
        Seconds: a lock that was watched unchanged for this long is broken.
    lock_timeout : float, optional
        Seconds to wait for the lock before :class:`~tirastore.errors.LockTimeoutError`. Default:
        ``TIRASTORE_LOCK_TIMEOUT``, or 600.
    lock : {"auto", "token", "hardlink"}
        Lock protocol. ``"auto"`` takes what is on disk, and ``"token"`` for a new store, which is
        then *sealed*: no client of the original TiraStore can enter it. ``"hardlink"`` makes a
        store that clients of the original can use, too. A contradiction to what is on disk is a
        :class:`ValueError` or :class:`~tirastore.errors.LockError` that names the remedy.
    read_only : bool
        Never write. In a directory where this user may not create files, lookups then work
        without the lock.
    share : bool, optional
        Who else may use the store. ``None``: everybody may use what this call creates (files 0666,
        new directories 0777); ``True``: the directory is made writable by all even if it exists,
        unless it is a home or another user's; ``False``: nobody (0600, 0700).
    dialects : sequence of str
        Dialects of schedules that may be recorded, see :func:`~tirastore.schedule_dialect`.
    memory_cache_mb : float, optional
        Megabytes of memory for records that were looked up, in this process; 0 = none. It is never
        stale: what others overwrite or delete is seen by the next lookup. Default:
        ``TIRASTORE_MEMORY_CACHE_MB``, or 64.

    environment : dict, optional
        What the times depend on that the machine does not tell: ``compiler``, ``tiramisu`` (its
        revision), and anything that JSON can hold; see :attr:`environment`.

    Raises
    ------
    NotAStoreError
        The file is something else, half-made or of an unknown schema. It is left untouched.
    LockTimeoutError
        Nobody let go of the lock.
    StoreNotFoundError
        With `read_only`: there is no store.
    ValueError
        An environment variable that is needed holds no number, or no `db_path` is given and
        ``TIRASTORE_DB`` is not set; the text names the variable.

    Warns
    -----
    CpuMismatchWarning
        The store belongs to another kind of node: lookups work, writes raise
        :class:`~tirastore.errors.WriteNotAllowedError`.

    Notes
    -----
    A store may keep its file open between calls. It may be used from threads and after ``fork()``,
    and pickled: the other side opens it again. Times are milliseconds.

    Examples
    --------
    >>> import tempfile
    >>> path = tempfile.mkdtemp() + "/store.db"
    >>> with TiraStore(path, source_project="docs") as store:
    ...     store.record("mm", "void mm() {}", "", True, [1.5, 1.4])
    ...     store.lookup("mm", "void mm() {}", "").execution_times
    True
    [1.5, 1.4]
    """

    def __init__(
        self,
        db_path: str | Path | None = None,
        source_project: str | None = None,
        cpu_model: str | None = None,
        slurm_cpus: str | None = None,
        allow_cpu_mismatch: bool = False,
        stale_lock_timeout: float = 600.0,
        *,
        lock_timeout: float | None = None,
        lock: Literal["auto", "token", "hardlink"] = "auto",
        read_only: bool = False,
        share: bool | None = None,
        dialects: Iterable[str] = ("tiralib",),
        memory_cache_mb: float | None = None,
        environment: dict[str, Any] | None = None,
    ) -> None:
        if db_path is None:
            db_path = _defaults.db_path()
        if source_project is None:
            source_project = _defaults.source_project()
        if lock_timeout is None:
            lock_timeout = _defaults.lock_timeout()
        if memory_cache_mb is None:
            memory_cache_mb = _defaults.memory_cache_mb()
        if isinstance(dialects, str):
            raise TypeError(f"dialects must be a sequence of names, got the string {dialects!r}")
        arguments: dict[str, Any] = {
            "source_project": source_project,
            "cpu_model": cpu_model,
            "slurm_cpus": slurm_cpus,
            "allow_cpu_mismatch": allow_cpu_mismatch,
            "stale_lock_timeout": stale_lock_timeout,
            "lock_timeout": lock_timeout,
            "lock": lock,
            "read_only": read_only,
            "share": share,
            "dialects": tuple(dialects),
            "memory_cache_mb": float(memory_cache_mb),
            "environment": environment,
        }
        path = Path(db_path).expanduser()
        self._core = _core.Store(path, locked_by_caller=False, **arguments)
        self.allow_cpu_mismatch = allow_cpu_mismatch
        self._arguments = arguments
        if self._core.cpu_mismatch is not None:
            warnings.warn(
                "[TiraStore] CPU metadata mismatch — write operations disabled.\n"
                f"{self._core.cpu_mismatch}\n"
                "  Set allow_cpu_mismatch=True to override.",
                CpuMismatchWarning,
                stacklevel=2,
            )

    def lookup(
        self,
        program_name: str,
        program_source_code: str,
        tiralib_schedule_string: str,
        *,
        environment: Literal["this"] | None = None,
    ) -> LookupResult | None:
        """Return what was measured for a schedule of a program.

        Parameters
        ----------
        program_name : str
            Not looked at: a program is its source.
        program_source_code : str
            The program's Tiramisu C++ generator, in any formatting.
        tiralib_schedule_string : str
            The schedule, in any spelling; it is not validated.
        environment : {"this"}, optional
            ``"this"``: leave out the times of other machines. The newest of the :meth:`runs` is
            returned that was made on a machine like this one (see :attr:`environment`), or that
            found the schedule illegal, which it is everywhere.

        Returns
        -------
        LookupResult or None
            ``None`` if it was never recorded, or not here.

        Raises
        ------
        CorruptRecordError
            The stored record cannot be decoded, or is not what its key names.

        Examples
        --------
        >>> store.lookup("mm", "void mm() {}", "") is None
        True
        """
        del program_name
        if environment is None:
            found = self._core.lookup(program_source_code, tiralib_schedule_string)
        elif environment == "this":
            found = self._core.lookup_here(program_source_code, tiralib_schedule_string)
        else:
            raise ValueError(f'environment must be "this" or None, got {environment!r}')
        return None if found is None else LookupResult(*found)

    def lookup_many(self, items: Iterable[tuple[str, str, str]]) -> list[LookupResult | None]:
        """Look many schedules up in one read.

        Parameters
        ----------
        items : iterable of (program_name, program_source_code, tiralib_schedule_string)
            What to look up.

        Returns
        -------
        list of (LookupResult or None)
            One for each item, in their order.

        Raises
        ------
        CorruptRecordError
            One of the stored results cannot be decoded.

        Examples
        --------
        >>> store.lookup_many([("mm", "void mm() {}", ""), ("mv", "void mv() {}", "")])
        [None, None]
        """
        found = self._core.lookup_many([(source, schedule) for _, source, schedule in items])
        return [None if fields is None else LookupResult(*fields) for fields in found]

    def contains(
        self, program_name: str, program_source_code: str, tiralib_schedule_string: str
    ) -> bool:
        """Tell whether a schedule of a program is recorded; parameters as :meth:`lookup`.

        Returns
        -------
        bool
            ``True`` if it is.

        Examples
        --------
        >>> store.contains("mm", "void mm() {}", "")
        False
        """
        del program_name
        return self._core.contains(program_source_code, tiralib_schedule_string)

    def contains_many(self, items: Iterable[tuple[str, str, str]]) -> list[bool]:
        """Tell which of many schedules are recorded, in one read; items as :meth:`lookup_many`.

        Returns
        -------
        list of bool
            One for each item, in their order.

        Examples
        --------
        >>> store.contains_many([("mm", "void mm() {}", "")])
        [False]
        """
        return self._core.contains_many([(source, schedule) for _, source, schedule in items])

    def record(
        self,
        program_name: str,
        program_source_code: str,
        tiralib_schedule_string: str,
        is_legal: bool,
        execution_times: ExecutionTimes | None = None,
        overwrite: bool = False,
        *,
        status: Status | None = None,
        details: dict[str, Any] | None = None,
        if_exists: IfExists | None = None,
    ) -> bool:
        """Record a measurement, durably: program and record in one transaction.

        Parameters
        ----------
        program_name : str
            Name of the program. A source recorded under several names is found under each.
        program_source_code : str
            Its Tiramisu C++ generator.
        tiralib_schedule_string : str
            The schedule, in any spelling; ``""`` is the unscheduled program.
        is_legal : bool
            Does the schedule keep the program's meaning? ``numpy.bool_``, 0 and 1 are accepted.
        execution_times : sequence of float or None
            Every run in order, in milliseconds, finite and not negative. Required where
            `is_legal`, unless `status` says why there are none. Lists, tuples and one-dimensional
            NumPy arrays are accepted.
        overwrite : bool
            Replace what is recorded.
        status : {"measured", "illegal", "unmeasured", "timeout", "failed"}, optional
            What became of it, where it does not follow: legal schedules without times are
            ``"unmeasured"`` (never timed), ``"timeout"`` or ``"failed"``.
        details : dict, optional
            What else is known, as JSON: ``{"bound": seconds}`` of a timeout and
            ``{"message": text}`` of a failure, which need it.
        if_exists : {"keep", "overwrite", "append"}, optional
            What to do where there is a record. ``"overwrite"`` is the same as ``overwrite=True``:
            what it supersedes stays among the :meth:`runs`. ``"append"`` leaves the record, and
            adds a run beside it.

        Returns
        -------
        bool
            ``True`` if it was written, ``False`` if it was there and is kept.

        Raises
        ------
        InvalidScheduleError, InvalidMeasurementError, TypeError
            Bad input, or one that contradicts itself. Nothing is written.
        WriteNotAllowedError
            Another CPU, ``read_only=True``, or missing permissions.

        Examples
        --------
        >>> store.record("mm", "void mm() {}", "P(L0,comps=['c'])", True, [0.5])
        True
        >>> store.record("mm", "void mm() {}", "P(L0,comps=['c'])", True, [0.4])
        False
        >>> slow = {"status": "timeout", "details": {"bound": 60.0}}
        >>> store.record("mm", "void mm() {}", "R(L0,comps=['c'])", True, **slow)
        True
        """
        return self._core.record(
            program_name,
            program_source_code,
            tiralib_schedule_string,
            is_legal,
            execution_times,
            choose_if_exists(overwrite, if_exists),
            status,
            details,
        )

    def record_many(
        self,
        program_name: str,
        program_source_code: str,
        schedules: Iterable[Mapping[str, Any]],
        overwrite: bool = False,
        *,
        if_exists: IfExists | None = None,
    ) -> int:
        """Record several schedules of one program in one transaction.

        All are checked before any is written.

        Parameters
        ----------
        program_name, program_source_code : str
            As :meth:`record`.
        schedules : iterable of dict
            Each with ``tiralib_schedule_string``, ``is_legal`` and, unless there are none,
            ``execution_times`` (milliseconds), ``status`` and ``details``.
        overwrite : bool
            Replace what is recorded.
        if_exists : {"keep", "overwrite", "append"}, optional
            As :meth:`record`.

        Returns
        -------
        int
            How many were written.

        Raises
        ------
        InvalidScheduleError, InvalidMeasurementError, TypeError, KeyError
            As :meth:`record`; the text starts with ``schedules[i]:``.

        Examples
        --------
        >>> store.record_many("mm", "void mm() {}", [
        ...     {"tiralib_schedule_string": "", "is_legal": True, "execution_times": [1.5]},
        ...     {"tiralib_schedule_string": "R(L0,comps=['c'])", "is_legal": False},
        ... ])
        2
        """
        entries = [dict(entry) if isinstance(entry, Mapping) else entry for entry in schedules]
        choice = choose_if_exists(overwrite, if_exists)
        return self._core.record_many(program_name, program_source_code, entries, choice)

    def record_batch(
        self,
        measurements: Iterable[Measurement],
        overwrite: bool = False,
        *,
        if_exists: IfExists | None = None,
    ) -> int:
        """Record measurements of any programs in one transaction.

        All are checked before any is written.

        Parameters
        ----------
        measurements : iterable of Measurement
            What to record.
        overwrite : bool
            Replace what is recorded.
        if_exists : {"keep", "overwrite", "append"}, optional
            As :meth:`record`.

        Returns
        -------
        int
            How many were written.

        Raises
        ------
        InvalidScheduleError, InvalidMeasurementError, TypeError
            As :meth:`record`; the text starts with ``measurements[i]:``.

        Examples
        --------
        >>> from tirastore import Measurement
        >>> store.record_batch([
        ...     Measurement("mm", "void mm() {}", "", True, [1.5]),
        ...     Measurement("mv", "void mv() {}", "", True, [0.2]),
        ... ])
        2
        """
        return self._core.record_batch(list(measurements), choose_if_exists(overwrite, if_exists))

    def buffered(
        self,
        max_records: int = 32768,
        max_seconds: float = 5.0,
        background: bool = True,
        *,
        on_sigterm: bool = True,
    ) -> WriteBuffer:
        """Return a buffer whose records are written together: much faster than one by one.

        Parameters
        ----------
        max_records : int
            Records that wait in memory at most; also at most 64 MiB of text, or one record.
        max_seconds : float
            Seconds after which the oldest is written, in the background.
        background : bool
            ``False``: no thread, and `max_seconds` is not looked at.
        on_sigterm : bool
            Save what waits when SIGTERM arrives, then do what was done about it before. Only in
            the main thread; given back when the buffer is closed.

        Returns
        -------
        WriteBuffer
            A context manager, which is flushed at the end of its block.

        Raises
        ------
        WriteNotAllowedError
            The store cannot be written.

        Examples
        --------
        >>> with store.buffered() as buffer:
        ...     buffer.record("mm", "void mm() {}", "", True, [1.5])
        >>> store.count()
        1
        """
        return WriteBuffer(
            self,
            max_records=max_records,
            max_seconds=max_seconds,
            background=background,
            on_sigterm=on_sigterm,
        )

    def get_program_source(self, program_name: str) -> list[dict[str, str]]:
        """Return the sources recorded under a name, ordered by hash.

        Parameters
        ----------
        program_name : str
            The name, first or further.

        Returns
        -------
        list of dict
            Each with ``program_hash`` and ``source_code``; several where several sources share
            the name.

        Examples
        --------
        >>> store.get_program_source("mm")
        []
        """
        return [
            {"program_hash": program_hash, "source_code": source_code}
            for program_hash, _, source_code in self._core.get_program_source(program_name)
        ]

    def get_program_records(
        self, program_name: str, program_source_code: str
    ) -> list[LookupResult]:
        """Return every record of a program, oldest first; parameters as :meth:`lookup`.

        Returns
        -------
        list of LookupResult
            One for each recorded schedule.

        Warns
        -----
        CorruptRecordWarning
            Records that cannot be decoded, or are not what their keys name, are left out; the text
            has their keys.

        Examples
        --------
        >>> store.get_program_records("mm", "void mm() {}")
        []
        """
        del program_name
        good, damaged = self._core.get_program_records(program_source_code)
        if damaged:
            causes = "; ".join(f"{key}: {cause}" for key, cause in damaged)
            message = f"{len(damaged)} damaged records were left out: {causes}"
            warnings.warn(message, CorruptRecordWarning, stacklevel=2)
        return [LookupResult(*fields) for fields in good]

    def close(self) -> None:
        """End the use of this store: later calls raise ``StoreClosedError``. May be repeated.

        Examples
        --------
        >>> store.close()
        >>> store.count()
        Traceback (most recent call last):
        tirastore.errors.StoreClosedError: this store is closed: ...
        """
        self._core.close()

    @property
    def db_path(self) -> Path:
        """The database file, symbolic links resolved."""
        return self._core.db_path

    @property
    def source_project(self) -> str:
        """Project that is written to every record; it may be changed."""
        return self._core.source_project

    @source_project.setter
    def source_project(self, source_project: str) -> None:
        self._core.source_project = source_project
        self._arguments["source_project"] = source_project

    @property
    def writes_allowed(self) -> bool:
        """Whether records may be written."""
        return self._core.writes_allowed

    @property
    def cpu_model(self) -> str | None:
        """CPU model that the store was created for."""
        return self._core.get_meta("cpu_model")

    @property
    def slurm_cpus(self) -> str | None:
        """CPUs per Slurm task that the store was created for."""
        return self._core.get_meta("slurm_cpus")

    def __enter__(self) -> Self:
        """Return the store."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the store."""
        self.close()

    def __len__(self) -> int:
        """Return the number of records."""
        return self.count()

    def __bool__(self) -> bool:
        """Return ``True``: an empty store is a store."""
        return True

    def __reduce__(self) -> tuple[Callable[[], Self], tuple[()]]:
        """Pickle by the arguments of the constructor."""
        return partial(type(self), self.db_path, **self._arguments), ()

    def __repr__(self) -> str:
        """Return the store's path, project and whether it may be written."""
        return (
            f"TiraStore(db_path={str(self.db_path)!r}, source_project={self.source_project!r}, "
            f"writes_allowed={self.writes_allowed})"
        )

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        if self._core.closed:
            sizes = "closed"
        elif (glance := self._core.glance(_GLANCE_SECONDS)) is None:
            sizes = "busy"
        else:
            sizes = f"{glance[0]:,} records, {glance[1]:,} programs"
        rows = {
            "store": str(self.db_path),
            "content": sizes,
            "project": self.source_project or "—",
            "writes": "allowed" if self.writes_allowed else "not allowed",
        }
        return table("TiraStore", list(rows.items()))
