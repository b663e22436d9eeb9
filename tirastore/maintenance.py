"""Looking after a store and its lock.

What is here works on a path, because a store whose lock is damaged or held cannot be opened; the
methods of the same names are part of :class:`~tirastore.TiraStore`.

Examples
--------
>>> from tirastore import TiraStore
>>> with TiraStore("store.db") as store:
...     lock_info("store.db").protocol
'token'
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tirastore import _core
from tirastore.verification import Finding, VerifyReport

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["LockInfo", "Maintained", "break_lock", "lock_info", "repair_lock"]


@dataclass(frozen=True, slots=True)
class LockInfo:
    """How a store is locked at one moment.

    Attributes
    ----------
    path : Path
        The lock directory of a sealed store, or the lock file.
    protocol : {"token", "hardlink"}
        ``"token"``: the store is sealed. ``"hardlink"``: clients of the original can use it, too.
    held : bool
        Is somebody inside?
    hostname, pid, user : str, int and str, or None
        Who, as far as the lock says.
    since : datetime or None
        Since when, by the holder's clock.
    holder_is_dead : bool
        The holder certainly ended: the next call takes over at once.
    writing : bool
        The holder has begun to write, or one before it did and has not finished.
    must_fence : bool
        A silent holder was taken over; the next one shuts it out before it does anything else.
    fence, generation : int or None
        How often the database file was replaced, and the token taken, from a random number on.
    takeover_seconds : float
        A holder on another node is taken over after this time of silence.
    waiting : tuple of (str, float)
        Who has waited for longer than a moment, and for how many seconds when last heard of.
    damage : str or None
        What is wrong with a lock directory that only :func:`repair_lock` cures.

    Examples
    --------
    >>> info = store.lock_info()
    >>> info.held, info.holder_is_dead, info.damage
    (False, False, None)
    """

    path: Path
    protocol: str
    held: bool
    hostname: str | None
    pid: int | None
    user: str | None
    since: dt.datetime | None
    holder_is_dead: bool
    writing: bool
    must_fence: bool
    fence: int | None
    generation: int | None
    takeover_seconds: float
    waiting: tuple[tuple[str, float], ...]
    damage: str | None


def lock_info(db_path: str | Path) -> LockInfo:
    """Look at the lock of a store, changing nothing and waiting for nobody.

    Parameters
    ----------
    db_path : str or Path
        The database file.

    Returns
    -------
    LockInfo
        Who holds it, since when, and who waits.

    Raises
    ------
    LockError
        The directory cannot be read, or speaks a newer protocol.

    Examples
    --------
    >>> lock_info("store.db").protocol
    'token'
    """
    return _lock_info(_core.lock_info(Path(db_path)))


def break_lock(db_path: str | Path, lock_timeout: float = 60.0) -> None:
    """Take the lock of a store from whoever holds it, and free it.

    A sealed store is taken over as from a holder that died: the old holder is shut out first, so
    that nothing is damaged even if it is alive. The lock *file* of a store that is open to the
    original's clients is removed: be sure that its holder is gone.

    Parameters
    ----------
    db_path : str or Path
        The database file.
    lock_timeout : float
        Seconds to wait for other threads of this process.

    Raises
    ------
    LockError
        The file system refuses.

    Examples
    --------
    >>> break_lock("store.db")
    >>> lock_info("store.db").held
    False
    """
    _core.break_lock(Path(db_path), lock_timeout)


def repair_lock(db_path: str | Path, lock_timeout: float = 60.0) -> str | None:
    """Give a lock directory that lost its token a new one. Stop all clients first.

    Parameters
    ----------
    db_path : str or Path
        The database file.
    lock_timeout : float
        Seconds to wait for other threads of this process.

    Returns
    -------
    str or None
        What was wrong; ``None`` if nothing was.

    Raises
    ------
    LockError
        The file system refuses.
    ValueError
        The store is not sealed: there is nothing to repair.

    Examples
    --------
    >>> repair_lock("store.db") is None
    True
    """
    return _core.repair_lock(Path(db_path), lock_timeout)


class Maintained:
    """The part of :class:`~tirastore.TiraStore` for those who look after a store."""

    _core: _core.Store

    def lock_info(self) -> LockInfo:
        """Look at the lock of this store, changing nothing and waiting for nobody.

        Returns
        -------
        LockInfo
            Which protocol, who holds it, since when, and who waits for how long.

        Examples
        --------
        >>> info = store.lock_info()
        >>> info.protocol, info.held
        ('token', False)
        """
        return _lock_info(self._core.lock_info())

    def seal(self) -> bool:
        """Seal this store: from here on no client of the original TiraStore can enter it.

        Whoever of them is inside finishes first. Sealed stores recover from killed and suspended
        workers without a gap, are read without a lock, and are faster.

        Returns
        -------
        bool
            ``False`` if it was sealed already.

        Raises
        ------
        LockTimeoutError
            Somebody inside did not finish.
        WriteNotAllowedError
            This store may not be written.

        Examples
        --------
        >>> store.seal()
        False
        """
        return self._core.seal()

    def unseal(self) -> bool:
        """Open a sealed store to clients of the original TiraStore. Stop all clients first.

        Returns
        -------
        bool
            ``False`` if it was open already.

        Raises
        ------
        LockTimeoutError
            Somebody inside did not finish.
        WriteNotAllowedError
            This store may not be written.

        Examples
        --------
        >>> store.unseal(), store.lock_info().protocol
        (True, 'hardlink')
        >>> store.seal(), store.lock_info().protocol
        (True, 'token')
        """
        return self._core.unseal()

    def verify(self) -> VerifyReport:
        """Look for damage: tell whether everything is what it was when it was written.

        Hashes and keys name what they were made of. So the hash of every program and the key of
        every record are computed again, every result is decoded, the program of every record is
        looked for, and SQLite checks its pages and indexes. What cannot be read is reported, and
        the rest verified. Writers wait meanwhile; a backup can be verified instead.

        Returns
        -------
        VerifyReport
            True where nothing is wrong; ``findings`` has what is, with key and cause.

        Examples
        --------
        >>> report = store.verify()
        >>> report.ok, report.findings
        (True, ())
        >>> print(report)
        0 records and 0 programs verified: nothing is wrong
        """
        programs, records, findings = self._core.verify()
        return VerifyReport(programs, records, tuple(Finding(*finding) for finding in findings))

    def backup(self, backup_path: str | Path | None = None, *, verify: bool = False) -> Path:
        """Copy one consistent state of the store, whatever writers are doing.

        Parameters
        ----------
        backup_path : str or Path, optional
            Where to; default: ``<stem>_<UTC time>.db`` beside the store. What is there is
            replaced once the copy is complete.
        verify : bool
            Look for damage in the copy, as :meth:`verify` does, before it gets its name. Writers
            do not wait for that.

        Returns
        -------
        Path
            The backup, which is a store itself.

        Raises
        ------
        DamagedCopyError
            With `verify`: what is wrong. No backup was written; what was there is untouched.
        ValueError
            At `backup_path` is this store, or another one that has a lock beside it.

        Examples
        --------
        >>> store.backup(verify=True).suffix
        '.db'
        """
        path = None if backup_path is None else Path(backup_path)
        return self._core.backup(path, bool(verify))

    def restore(self, backup_path: str | Path) -> None:
        """Replace all records of this store by those of a backup.

        Other clients may go on working: from their next call on they see the restored records.
        What was recorded after the backup was made is gone.

        Parameters
        ----------
        backup_path : str or Path
            A file that :meth:`backup` made. It stays as it is.

        Raises
        ------
        NotAStoreError
            It is no store.
        StoreFileError
            The store's file cannot be replaced in its directory.
        WriteNotAllowedError
            This store may not be written.

        Examples
        --------
        >>> backup = store.backup("before.db")
        >>> store.restore(backup)
        """
        self._core.restore(Path(backup_path))


def _lock_info(fields: Mapping[str, Any]) -> LockInfo:
    since = fields["since"]
    known = dict(fields)
    known["path"] = Path(known["path"])
    known["waiting"] = tuple(known["waiting"])
    known["since"] = None if since is None else dt.datetime.fromtimestamp(since, dt.UTC)
    return LockInfo(**known)
