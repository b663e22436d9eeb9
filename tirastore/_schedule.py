"""Names that scripts written against the original's internals import from here."""

from __future__ import annotations

from tirastore.schedules import normalize_program, normalize_schedule, validate_schedule

__all__ = ["normalize_program", "normalize_schedule", "validate_schedule"]
