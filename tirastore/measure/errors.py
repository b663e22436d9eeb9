"""What can go wrong between a schedule string and its execution times."""

from __future__ import annotations

from tirastore.errors import TiraStoreError

__all__ = ["InapplicableScheduleError", "MeasurementError"]


class InapplicableScheduleError(TiraStoreError, ValueError):
    """A schedule that says nothing about this program: not illegal, but meaningless.

    It names a loop level or a computation that the program does not have, or a transformation
    that this measurer does not know. Nothing about it may be recorded.
    """


class MeasurementError(TiraStoreError, RuntimeError):
    """A measurement that failed, or whose result differs from the unscheduled program's.

    Such a schedule has no execution times, and nothing about it may be recorded.
    """
