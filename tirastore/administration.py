"""Single records by their key, and facts about the whole store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tirastore import _core

__all__ = ["Administered"]


def _within_i64(number: int) -> int:
    return min(max(number, 0), 2**63 - 1)


class Administered:
    """The methods of :class:`~tirastore.TiraStore` for single records by key, and for counts."""

    _core: _core.Store

    def get(self, key: str) -> dict[str, Any] | None:
        """Return a record, undecoded, with its program.

        Parameters
        ----------
        key : str
            From :func:`~tirastore.make_key` or :meth:`keys`.

        Returns
        -------
        dict or None
            The columns of ``records``, and ``program_name`` and ``source_code``.

        Raises
        ------
        CorruptRecordError
            A column holds no text, or the record's program is missing.

        Examples
        --------
        >>> store.get("0" * 64) is None
        True
        """
        return self._core.get(key)

    def put(
        self, key: str, program_hash: str, schedule: str, result_json: str, overwrite: bool = False
    ) -> bool:
        """Write a record by its key, for administration: key and schedule are not checked.

        Parameters
        ----------
        key, program_hash : str
            64 hexadecimal digits each; the program must be stored already.
        schedule : str
            Normal form of the schedule.
        result_json : str
            JSON object with ``is_legal`` and ``execution_times`` (milliseconds), and ``status`` and
            ``details`` where there are some. It is stored as it is: without an environment, unless
            it names one by its number.
        overwrite : bool
            Replace what is recorded.

        Returns
        -------
        bool
            ``True`` if it was written.

        Raises
        ------
        UnknownProgramError
            The program is not in the store.
        InvalidMeasurementError
            `result_json` is no result.

        Examples
        --------
        >>> import tirastore
        >>> _ = store.record("mm", "void mm() {}", "", True, [1.5])
        >>> program = tirastore.make_program_hash("void mm() {}")
        >>> schedule = "R(L0,comps=['c'])"
        >>> key = tirastore.make_key(program, schedule)
        >>> store.put(key, program, schedule, '{"is_legal":false}')
        True
        """
        return self._core.put(key, program_hash, schedule, result_json, bool(overwrite))

    def delete(self, key: str) -> bool:
        """Remove a record and all its :meth:`runs`; its program stays.

        Parameters
        ----------
        key : str
            From :func:`~tirastore.make_key` or :meth:`keys`.

        Returns
        -------
        bool
            ``True`` if it was there.

        Examples
        --------
        >>> store.delete("0" * 64)
        False
        """
        return self._core.delete(key)

    def count(self) -> int:
        """Return the number of records.

        Examples
        --------
        >>> store.count()
        0
        """
        return self._core.count()

    def program_count(self) -> int:
        """Return the number of distinct programs.

        Examples
        --------
        >>> store.program_count()
        0
        """
        return self._core.program_count()

    def stats(self) -> dict[str, Any]:
        """Return counts over the whole store.

        Returns
        -------
        dict
            ``total_records``, ``legal_records``, ``illegal_records``, ``statuses`` (a count for
            each status), ``damaged_records`` (not decodable, or with times that are NaN or
            infinite), ``total_programs``, ``source_projects``, ``users``, ``cpu_model``,
            ``slurm_cpus``.

        Examples
        --------
        >>> store.stats()["total_records"]
        0
        """
        return self._core.stats()

    def keys(self, limit: int = 0, offset: int = 0, *, after: str | None = None) -> list[str]:
        """Return keys of records in the order in which they were created.

        Parameters
        ----------
        limit : int
            At most this many; 0 for all, and then `offset` is ignored.
        offset : int
            Leave this many out first.
        after : str, optional
            Begin behind this key: pages that cost the same at the end of a large store as at
            its beginning.

        Returns
        -------
        list of str
            64 hexadecimal digits each.

        Raises
        ------
        ValueError
            No record has the key `after`.

        Examples
        --------
        >>> store.keys(limit=10)
        []
        """
        return self._core.keys(_within_i64(limit), _within_i64(offset), after)
