"""Claims: who measures what, so that nobody measures what another one is measuring."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from tirastore._core import Claims
from tirastore.errors import (
    ClaimLostError,
    MeasurementFailed,
    StorageError,
    TiraStoreError,
    WaitTimeoutError,
)
from tirastore.records import LookupResult

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from tirastore import _core
    from tirastore.records import ExecutionTimes, Status

__all__ = ["Claim", "ClaimInfo", "Claiming"]


class Claim:
    """The right to measure one schedule of one program, from :meth:`TiraStore.claim`.

    A context manager: an exception in its block fails the claim. One that was not completed is
    released at the end, and also where the store had an error or the process stops
    (``KeyboardInterrupt``, ``SystemExit``): neither says anything about the pair. It belongs to the
    process that made it, not to forked children.

    Attributes
    ----------
    program_name, program_source_code : str
        The program.
    schedule : str
        Normal form of the schedule.
    key : str
        Key of the record that is to come.
    lease : float
        Seconds without :meth:`renew` after which others may take it over.

    Examples
    --------
    >>> with store.claim("mm", "void mm() {}", "") as claim:
    ...     claim.complete(True, [1.5, 1.4])
    True
    >>> store.claim("mm", "void mm() {}", "") is None
    True
    """

    def __init__(self, core: _core.Claim) -> None:
        self._core = core
        self.program_name: str = core.program_name
        self.program_source_code: str = core.program_source_code
        self.schedule: str = core.schedule
        self.key: str = core.key
        self.lease: float = core.lease

    def renew(self) -> None:
        """Begin the lease anew; call it where a measurement takes longer than its lease.

        Raises
        ------
        ClaimLostError
            The lease was over and another one has the pair; or the claim has ended.

        Examples
        --------
        >>> claim = store.claim("mm", "void mm() {}", "", lease=60)
        >>> claim.renew()
        """
        self._core.renew()

    def complete(
        self,
        is_legal: bool,
        execution_times: ExecutionTimes | None = None,
        *,
        status: Status | None = None,
        details: dict[str, Any] | None = None,
        or_append: bool = False,
    ) -> bool:
        """Record what was measured and end the claim, in one transaction.

        After an error, such as :class:`~tirastore.errors.LockTimeoutError`, it may be called again:
        the record gets in once, as it was given first.

        Parameters
        ----------
        is_legal, execution_times, status, details
            As :meth:`TiraStore.record`: the verdict, every run in milliseconds, and what became of
            it where that does not follow.
        or_append : bool
            What was measured is not lost where somebody else has recorded the pair, or has it now:
            it becomes a further run, as of ``record(..., if_exists="append")``.

        Returns
        -------
        bool
            ``True`` if it was recorded under this claim. ``False`` if somebody has recorded the
            pair meanwhile, who had no claim any more or none at all: the claim has ended, and
            nothing is written. With `or_append` also where the claim was lost; then it is a run,
            or the record where there was none.

        Raises
        ------
        ClaimLostError
            The lease was over and another one has the pair: nothing is recorded. With `or_append`
            only where the claim has ended by :meth:`fail` or :meth:`release`, or was made by the
            process that this one was forked from, or another call on it is under way.
        InvalidMeasurementError, TypeError
            Bad input. Nothing is written, and the claim stays.

        Examples
        --------
        >>> claim = store.claim("mm", "void mm() {}", "")
        >>> claim.complete(True, [1.5])
        True
        """
        return self._core.complete(is_legal, execution_times, status, details, or_append)

    def fail(self, message: str) -> None:
        """End the claim with what went wrong; nothing is recorded.

        Those who wait get :class:`~tirastore.errors.MeasurementFailed` with the message. It stays
        until somebody claims the pair anew.

        Parameters
        ----------
        message : str
            What went wrong.

        Raises
        ------
        ClaimLostError
            The lease was over and another one has the pair; or the claim has ended.

        Examples
        --------
        >>> store.claim("mm", "void mm() {}", "").fail("no compiler")
        >>> store.claims()[0].message
        'no compiler'
        """
        self._core.fail(message)

    def release(self) -> None:
        """End the claim as if it had never been; nothing happens where it has ended before.

        Examples
        --------
        >>> store.claim("mm", "void mm() {}", "").release()
        >>> store.is_claimed("mm", "void mm() {}", "")
        False
        """
        self._core.release()

    def __enter__(self) -> Self:
        """Return the claim."""
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Fail the claim with the exception, or release it."""
        if not self._core.is_open:
            return
        try:
            if isinstance(exc, Exception) and not is_of_the_store(exc):
                self.fail(text_of(exc))
            else:
                self.release()
        except ClaimLostError:
            # Whoever has it now decides.
            return
        except TiraStoreError as error:
            if exc is None:
                raise
            exc.add_note(f"its claim could not be ended and lasts for its lease: {error}")

    def __repr__(self) -> str:
        """Name the pair."""
        return f"Claim({self.program_name!r}, {self.schedule!r}, lease={self.lease:g})"


def is_of_the_store(exc: Exception) -> bool:
    """Tell an error of the store from one of a measurement, which would come again."""
    of_files_or_locks = isinstance(exc, TiraStoreError) and isinstance(exc, OSError)
    return of_files_or_locks or isinstance(exc, ClaimLostError | StorageError)


def text_of(exc: Exception) -> str:
    """Say what went wrong, for those who wait."""
    return f"{type(exc).__name__}: {exc}"


@dataclass(frozen=True, slots=True)
class ClaimInfo:
    """One claim of a store, as :meth:`TiraStore.claims` lists it.

    Attributes
    ----------
    key : str
        Key of the record that is to come.
    program_name, schedule : str
        What is measured; the schedule in normal form.
    state : {"claimed", "abandoned", "failed"}
        ``"abandoned"``: its owner is gone, whoever wants the pair gets it.
    message : str or None
        What the owner of a failed claim said, or how it is known that one was abandoned.
    hostname, username, pid : str or None, str, int or None
        The owner, as far as it is known.
    lease : float
        Seconds without a renewal after which it is given up.
    silent_for : float or None
        Seconds for which this node has seen no renewal; ``None`` where it has not looked before.

    Examples
    --------
    >>> claim = store.claim("mm", "void mm() {}", "", lease=60)
    >>> [(info.program_name, info.state, info.lease) for info in store.claims()]
    [('mm', 'claimed', 60.0)]
    """

    key: str
    program_name: str
    schedule: str
    state: Literal["claimed", "abandoned", "failed"]
    message: str | None
    hostname: str | None
    username: str
    pid: int | None
    lease: float
    silent_for: float | None


class Claiming:
    """The methods of :class:`~tirastore.TiraStore` that say who measures what."""

    _core: _core.Store

    @property
    def _claims(self) -> Claims:
        """The claims of the core."""
        return Claims(self._core)

    def _recorded(self, source: str, schedule: str) -> LookupResult | None:
        found = self._core.lookup(source, schedule)
        return None if found is None else LookupResult(*found)

    def claim(
        self,
        program_name: str,
        program_source_code: str,
        tiralib_schedule_string: str,
        lease: float = 600.0,
        *,
        refresh: bool = False,
    ) -> Claim | None:
        """Claim the right to measure a schedule of a program: one caller of all nodes gets it.

        Parameters
        ----------
        program_name, program_source_code, tiralib_schedule_string : str
            As :meth:`record`.
        lease : float
            Seconds: whoever has watched the claim for this long without a renewal takes it over.
            Longer than one measurement takes.
        refresh : bool
            Claim the pair though it is recorded; :meth:`Claim.complete` then replaces the record.

        Returns
        -------
        Claim or None
            ``None`` if it is recorded, or if another one is measuring it. A pair whose
            measurement has failed, or whose owner is gone, can be claimed.

        Raises
        ------
        InvalidScheduleError
            The schedule could not be recorded.
        WriteNotAllowedError
            The store cannot be written.

        Examples
        --------
        >>> claim = store.claim("mm", "void mm() {}", "")
        >>> store.claim("mm", "void mm() {}", "") is None
        True
        """
        wanted = [(program_name, program_source_code, tiralib_schedule_string)]
        claims = self._claims.take(
            wanted, float(lease), limit=1, refresh=bool(refresh), retry_failed=True
        )
        return Claim(claims[0]) if claims else None

    def claim_many(
        self,
        candidates: Iterable[tuple[str, str, str]],
        limit: int | None = None,
        lease: float = 600.0,
        *,
        refresh: bool = False,
        retry_failed: bool = False,
    ) -> list[Claim]:
        """Claim a batch of pairs that are neither recorded nor claimed, in one turn at the store.

        Parameters
        ----------
        candidates : iterable of (program_name, program_source_code, tiralib_schedule_string)
            In the order in which they are to be measured.
        limit : int, optional
            How many to claim at most; default: all.
        lease, refresh
            As :meth:`claim`. All claims of the batch begin their leases now.
        retry_failed : bool
            Claim pairs whose measurement has failed, too.

        Returns
        -------
        list of Claim
            The first that may be claimed, in the order of the candidates; empty if there are none.

        Raises
        ------
        InvalidScheduleError, TypeError
            A candidate that could not be recorded; the text starts with ``candidates[i]:``.

        Examples
        --------
        >>> candidates = [("mm", "void mm() {}", f"R(L{n},comps=['c'])") for n in range(9)]
        >>> [claim.schedule for claim in store.claim_many(candidates, limit=2)]
        ["R(L0,comps=['c'])", "R(L1,comps=['c'])"]
        """
        wanted = list(candidates)
        limit = len(wanted) if limit is None else limit
        if limit < 0:
            raise ValueError(f"limit must be 0 or more, got {limit}")
        claims = self._claims.take(
            wanted,
            float(lease),
            limit=min(limit, len(wanted)),
            refresh=bool(refresh),
            retry_failed=bool(retry_failed),
        )
        return [Claim(claim) for claim in claims]

    def claims(self) -> list[ClaimInfo]:
        """List the claims, in the order in which they were made.

        Returns
        -------
        list of ClaimInfo
            Those that stand, and those that have failed.

        Examples
        --------
        >>> store.claims()
        []
        """
        return [ClaimInfo(**fields) for fields in self._claims.list()]

    def is_claimed(
        self, program_name: str, program_source_code: str, tiralib_schedule_string: str
    ) -> bool:
        """Tell whether somebody is measuring a schedule of a program; parameters as :meth:`lookup`.

        Returns
        -------
        bool
            ``False`` for a claim that has failed, or whose owner is gone.

        Examples
        --------
        >>> store.is_claimed("mm", "void mm() {}", "")
        False
        """
        del program_name
        return self._claims.is_claimed(program_source_code, tiralib_schedule_string)

    def wait_for(
        self,
        program_name: str,
        program_source_code: str,
        tiralib_schedule_string: str,
        timeout: float | None = None,
    ) -> LookupResult:
        """Wait until a schedule of a program is recorded.

        Waiting takes no lock where lookups take none.

        Parameters
        ----------
        program_name, program_source_code, tiralib_schedule_string : str
            As :meth:`lookup`.
        timeout : float, optional
            Seconds; 0 looks once; default: as long as it takes, also for somebody to claim it.

        Returns
        -------
        LookupResult
            What was measured.

        Raises
        ------
        MeasurementFailed
            Whoever measured it says that it failed, or is gone without a word.
        WaitTimeoutError
            It is not recorded yet; a :class:`TimeoutError`.

        Examples
        --------
        >>> with store.claim("mm", "void mm() {}", "") as claim:
        ...     _ = claim.complete(True, [1.5])
        >>> store.wait_for("mm", "void mm() {}", "", timeout=1).execution_times
        [1.5]
        """
        del program_name
        wanted = (program_source_code, tiralib_schedule_string)
        patience = float("inf") if timeout is None else float(timeout)
        while True:
            state, text = self._claims.wait_for(
                *wanted, newer_than=None, or_free=False, timeout=patience
            )
            if state == "failed":
                raise MeasurementFailed(text)
            if state == "abandoned":
                raise MeasurementFailed(f"{text}; claim it to measure it anew")
            if state == "timeout":
                raise timed_out(patience, text)
            # Deleted since, if there is none.
            if (found := self._recorded(*wanted)) is not None:
                return found


def timed_out(timeout: float, holder: str | None) -> WaitTimeoutError:
    """Say that a wait of `timeout` seconds for what `holder` measures is over."""
    who = f"it is being measured by {holder}" if holder else "nobody is measuring it"
    return WaitTimeoutError(f"not recorded within {timeout:g} s; {who}")
