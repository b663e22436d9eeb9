"""What makes two measurements the same: normal forms of schedules and programs, and keys.

The functions behave as those of the original TiraStore, byte for byte, so that keys agree.
"""

from __future__ import annotations

from tirastore import _core

__all__ = [
    "make_key",
    "make_program_hash",
    "normalize_program",
    "normalize_schedule",
    "schedule_dialect",
    "validate_schedule",
]


def normalize_schedule(schedule: str | None) -> str:
    """Return the normal form of a schedule: no white space, computations in single quotes.

    It never validates and never fails.

    Parameters
    ----------
    schedule : str or None
        A schedule in any spelling.

    Returns
    -------
    str
        Its normal form; ``""`` for ``None``.

    Examples
    --------
    >>> normalize_schedule(' R( L0 , comps=["c1"] ) ')
    "R(L0,comps=['c1'])"
    """
    return _core.normalize_schedule(schedule)


def validate_schedule(schedule: str | None) -> tuple[bool, str]:
    """Check a schedule against TiraLib's grammar.

    Parameters
    ----------
    schedule : str or None
        A schedule, normalised or not; ``""`` is the unscheduled program and valid.

    Returns
    -------
    valid : bool
        Whether it is valid.
    reason : str
        ``""``, or what is wrong: which transformation, which argument, where, and what was
        expected.

    Examples
    --------
    >>> validate_schedule("R(L0,comps=['c1'])|P(L1,comps=['c1'])")
    (True, '')
    >>> valid, reason = validate_schedule("R(0,comps=['c1'])")
    >>> valid, reason.startswith("Malformed R transformation")
    (False, True)
    """
    return _core.validate_schedule(schedule)


def schedule_dialect(schedule: str) -> str | None:
    """Name the dialect of a schedule string.

    Parameters
    ----------
    schedule : str
        A schedule as some tool of the Tiramisu project prints it.

    Returns
    -------
    str or None
        ``"tiralib"``, ``"percomp"``, ``"rl1"``, ``"looper"``, ``"master"``, or ``None`` where it
        is none of them.

    Examples
    --------
    >>> schedule_dialect("{comp01}:T2(L0,L1,32,32){comp02}:T2(L0,L1,32,32)")
    'percomp'
    >>> schedule_dialect("P(L1,comps=['c1'])")
    'tiralib'
    """
    return _core.schedule_dialect(schedule)


def normalize_program(source: str | None) -> str:
    r"""Return the normal form of a program: no comments, ``#include`` lines or white space.

    Parameters
    ----------
    source : str or None
        The program's Tiramisu C++ generator.

    Returns
    -------
    str
        Its normal form, for hashing only; ``""`` for ``None``.

    Examples
    --------
    >>> normalize_program("// note\nvoid f() { }")
    'voidf(){}'
    """
    return _core.normalize_program(source)


def make_program_hash(program_source_code: str | None) -> str:
    """Return the SHA-256 of a program's normal form.

    Parameters
    ----------
    program_source_code : str or None
        The program's Tiramisu C++ generator.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    UnicodeEncodeError
        If the source holds lone surrogates, which have no UTF-8.

    Examples
    --------
    >>> make_program_hash("void f() {}") == make_program_hash("void  f ( ) { } // same")
    True
    """
    return _core.make_program_hash(program_source_code)


def make_key(program_hash: str, tiralib_schedule_string: str | None) -> str:
    """Return the key of a record: SHA-256 of program hash and normal form of the schedule.

    Parameters
    ----------
    program_hash : str
        From :func:`make_program_hash`.
    tiralib_schedule_string : str or None
        The schedule in any spelling; it is normalised, not validated.

    Returns
    -------
    str
        64 hexadecimal digits.

    Examples
    --------
    >>> blur = make_program_hash("void blur() {}")
    >>> make_key(blur, "R(L0,comps=['c1'])") == make_key(blur, 'R(L0, comps=["c1"])')
    True
    """
    return _core.make_key(program_hash, tiralib_schedule_string)
