"""Defaults that a job script sets for all processes of a job, by environment variables.

They are looked at only where an argument is not given. A variable that is empty is not set.
"""

from __future__ import annotations

import math
import os

__all__ = ["DB", "db_path", "lock_timeout", "memory_cache_mb", "source_project"]

#: The variable that names the store.
DB = "TIRASTORE_DB"


def db_path() -> str:
    """Return the path of the store."""
    path = os.environ.get(DB)
    if not path:
        raise ValueError(f"which store? Give its path, or set {DB}")
    return path


def source_project() -> str:
    """Return the project that is written to every record."""
    return os.environ.get("TIRASTORE_PROJECT", "")


def lock_timeout() -> float:
    """Return the seconds to wait for the lock."""
    return _number("TIRASTORE_LOCK_TIMEOUT", 600.0, "seconds")


def memory_cache_mb() -> float:
    """Return the megabytes of memory for records that were looked up."""
    return _number("TIRASTORE_MEMORY_CACHE_MB", 64.0, "megabytes")


def _number(variable: str, default: float, unit: str) -> float:
    text = os.environ.get(variable)
    if not text:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number < math.inf:
        raise ValueError(f"{variable} must be a number of {unit}, 0 or more, got {text!r}")
    return number
