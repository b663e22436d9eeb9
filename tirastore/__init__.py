"""TiraStore: a store of program measurements for compiler autoschedulers on clusters.

Ask before you measure, record what you measured; nobody ever pays twice for the same schedule of
the same program.

Examples
--------
>>> import tempfile
>>> from tirastore import TiraStore
>>> directory = tempfile.mkdtemp()
>>> store = TiraStore(f"{directory}/store.db", source_project="docs")
>>> store.record("blur", "void blur() {}", "P(L0,comps=['c1'])", True, [0.042, 0.039])
True
>>> store.lookup("blur", "void blur() {}", "P(L0, comps=['c1'])").execution_times
[0.042, 0.039]
"""

from __future__ import annotations

from tirastore import _core, errors
from tirastore.buffer import WriteBuffer
from tirastore.claims import Claim, ClaimInfo
from tirastore.columns import Records
from tirastore.errors import *  # noqa: F403 -- every name of errors.__all__ is public here, too
from tirastore.history import Run
from tirastore.maintenance import LockInfo, break_lock, lock_info, repair_lock
from tirastore.metrics import CacheInfo, Metrics
from tirastore.records import LookupResult, Measurement
from tirastore.reports import DatasetReport, ImportReport
from tirastore.schedules import (
    make_key,
    make_program_hash,
    normalize_program,
    normalize_schedule,
    schedule_dialect,
    validate_schedule,
)
from tirastore.store import TiraStore
from tirastore.verification import Finding, VerifyReport

__version__ = "0.1.0"

__all__ = [
    "CacheInfo",
    "Claim",
    "ClaimInfo",
    "DatasetReport",
    "Finding",
    "ImportReport",
    "LockInfo",
    "LookupResult",
    "Measurement",
    "Metrics",
    "Records",
    "Run",
    "TiraStore",
    "VerifyReport",
    "WriteBuffer",
    "break_lock",
    "lock_info",
    "make_key",
    "make_program_hash",
    "normalize_program",
    "normalize_schedule",
    "repair_lock",
    "schedule_dialect",
    "validate_schedule",
]
__all__ += errors.__all__

if _core.__version__ != __version__:
    raise ImportError(
        f"tirastore {__version__} found an extension module of version {_core.__version__}; "
        "reinstall the package"
    )
if _core.build_profile == "debug":
    import warnings

    warnings.warn(
        "tirastore was built without optimisation and is slow; build it with --release",
        errors.DebugBuildWarning,
        stacklevel=2,
    )
