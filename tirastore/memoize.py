"""Measure what is not recorded yet: once, whoever asks."""

from __future__ import annotations

import time
from functools import wraps
from typing import TYPE_CHECKING, Any, overload

from tirastore.claims import Claim, Claiming, is_of_the_store, text_of, timed_out
from tirastore.errors import MeasurementFailed, StorageError
from tirastore.records import Measurement
from tirastore.schedules import make_key, make_program_hash

if TYPE_CHECKING:
    from collections.abc import Callable

    from tirastore.records import ExecutionTimes, LookupResult, Status

    #: What measuring gives: a verdict and times in milliseconds, or all of it with its names.
    Result = tuple[bool, ExecutionTimes | None] | Measurement
    #: Measures a schedule of a program: (program_name, program_source_code, schedule).
    Measure = Callable[[str, str, str], Result]
    Memoized = Callable[[str, str, str], LookupResult]
    #: What a claim is completed with.
    Outcome = tuple[bool, ExecutionTimes | None, Status | None, dict[str, Any] | None]

__all__ = ["Memoizing"]

# How often a record is tried, and seconds between: a measurement costs more than that.
_TRIES = 3
_RETRY_S = 1.0


class Memoizing(Claiming):
    """The methods of :class:`~tirastore.TiraStore` that measure what is not recorded yet."""

    def get_or_measure(
        self,
        program_name: str,
        program_source_code: str,
        tiralib_schedule_string: str,
        measure: Callable[[], Result],
        *,
        lease: float = 600.0,
        timeout: float | None = None,
        refresh: bool = False,
        record_failure: bool = False,
    ) -> LookupResult:
        """Return what is recorded, or measure and record it: once, however many ask at once.

        The first who asks measures, under a claim; the others wait for its record. Should it die,
        one of them measures.

        Parameters
        ----------
        program_name, program_source_code, tiralib_schedule_string : str
            As :meth:`record`.
        measure : callable
            Called without arguments by the one who measures. Returns (is_legal, execution_times),
            times in milliseconds, or a :class:`~tirastore.Measurement` of this very pair. It
            records nothing itself. Where others have recorded the pair meanwhile, without a claim
            or because it took longer than `lease`, its result is added to the :meth:`runs`.
        lease : float
            Seconds after which a measurer that is gone is replaced. Longer than `measure` takes.
        timeout : float, optional
            Seconds to wait for another one's measurement; default: as long as it takes.
        refresh : bool
            Do not take what was recorded before this call: measure it anew and replace it.
        record_failure : bool
            Record an exception of `measure` as a legal schedule of status ``"failed"``, so that
            nobody tries it again.

        Returns
        -------
        LookupResult
            What is recorded now.

        Raises
        ------
        MeasurementFailed
            Another one has measured and says that it failed.
        WaitTimeoutError
            Another one has not finished within `timeout`; a :class:`TimeoutError`.
        LockTimeoutError, StorageError, StoreFileError
            The store could not be written, tried three times.
        TypeError, ValueError
            `measure` returned something else. The claim is released.
        Exception
            Whatever `measure` raises. The claim has failed then, and nothing is recorded, unless
            `record_failure` is set.

        Examples
        --------
        >>> def measure():
        ...     print("measuring")
        ...     return True, [1.5, 1.4]
        >>> store.get_or_measure("mm", "void mm() {}", "", measure).execution_times
        measuring
        [1.5, 1.4]
        >>> store.get_or_measure("mm", "void mm() {}", "", measure).execution_times
        [1.5, 1.4]
        """
        wanted = (program_name, program_source_code, tiralib_schedule_string)
        before = self._recorded(*wanted[1:])
        if before is not None and not refresh:
            return before
        old = before.update_date if before is not None else None
        patience = float("inf") if timeout is None else float(timeout)
        deadline = time.monotonic() + patience
        while True:
            claim = self.claim(*wanted, lease=lease, refresh=refresh)
            if claim is not None:
                if refresh and (newer := self._recorded_since(old, wanted)) is not None:
                    claim.release()
                    return newer
                self._measure_under(claim, measure, record_failure=record_failure)
            else:
                left = max(0.0, deadline - time.monotonic())
                state, text = self._claims.wait_for(
                    *wanted[1:], newer_than=old, or_free=True, timeout=left
                )
                if state == "failed":
                    raise MeasurementFailed(text)
                if state == "timeout":
                    raise timed_out(patience, text)
                if state != "recorded":
                    continue
            if (found := self._recorded(*wanted[1:])) is not None:
                return found

    def _recorded_since(self, old: str | None, wanted: tuple[str, str, str]) -> LookupResult | None:
        """Return what others have recorded between the first look and the claim."""
        found = self._recorded(*wanted[1:])
        return None if found is None or found.update_date == old else found

    def _measure_under(
        self, claim: Claim, measure: Callable[[], Result], *, record_failure: bool
    ) -> None:
        with claim:
            try:
                result = measure()
            except Exception as failure:
                if record_failure and not is_of_the_store(failure):
                    _complete(claim, (True, None, "failed", {"message": text_of(failure)}))
                raise
            try:
                outcome = _outcome(result, claim)
            except (TypeError, ValueError):
                # That says something of `measure`, and nothing of the pair.
                claim.release()
                raise
            _complete(claim, outcome)

    @overload
    def memoize(self, measure: Measure, /) -> Memoized: ...

    @overload
    def memoize(
        self, measure: None = None, /, *, lease: float = ..., timeout: float | None = ...
    ) -> Callable[[Measure], Memoized]: ...

    def memoize(
        self,
        measure: Measure | None = None,
        /,
        *,
        lease: float = 600.0,
        timeout: float | None = None,
    ) -> Memoized | Callable[[Measure], Memoized]:
        """Make a function that measures ask the store first: a decorator.

        Parameters
        ----------
        measure : callable
            Takes (program_name, program_source_code, tiralib_schedule_string) and returns what
            `measure` of :meth:`get_or_measure` returns.
        lease, timeout
            As :meth:`get_or_measure`.

        Returns
        -------
        callable
            Takes the same, and returns a :class:`~tirastore.LookupResult`.

        Examples
        --------
        >>> @store.memoize(lease=60)
        ... def measure(program_name, source, schedule):
        ...     print("measuring", program_name)
        ...     return True, [1.5]
        >>> [measure("mm", "void mm() {}", "").execution_times for _ in range(2)]
        measuring mm
        [[1.5], [1.5]]
        """

        def decorate(measure: Measure) -> Memoized:
            @wraps(measure)
            def ask(
                program_name: str, program_source_code: str, tiralib_schedule_string: str
            ) -> LookupResult:
                wanted = (program_name, program_source_code, tiralib_schedule_string)
                return self.get_or_measure(
                    *wanted, lambda: measure(*wanted), lease=lease, timeout=timeout
                )

            return ask

        return decorate if measure is None else decorate(measure)


def _complete(claim: Claim, outcome: Outcome) -> None:
    """Record an outcome though the store has errors for a while, or others were faster."""
    is_legal, times, status, details = outcome
    for tries_left in reversed(range(_TRIES)):
        try:
            claim.complete(is_legal, times, status=status, details=details, or_append=True)
        except (PermissionError, FileNotFoundError):
            raise  # that does not pass
        except (OSError, StorageError):
            if not tries_left:
                raise
            time.sleep(_RETRY_S)
        else:
            return


def _outcome(result: Result, claim: Claim) -> Outcome:
    """Take a result apart, if it is one of the pair that was claimed."""
    if not isinstance(result, Measurement):
        if not isinstance(result, tuple) or len(result) != 2:  # noqa: PLR2004 -- a pair
            raise TypeError(
                "measure() must return (is_legal, execution_times) or a Measurement, "
                f"got {type(result).__name__}"
            )
        is_legal, times = result
        return is_legal, times, None, None
    program_hash = make_program_hash(result.program_source_code)
    if make_key(program_hash, result.tiralib_schedule_string) != claim.key:
        raise ValueError(
            f"measure() was asked for {claim.schedule!r} of {claim.program_name!r} and returned a "
            f"Measurement of {result.tiralib_schedule_string!r} of {result.program_name!r}"
        )
    return result.is_legal, result.execution_times, result.status, result.details
