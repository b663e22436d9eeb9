"""Names that scripts written against the original's internals import from here."""

from __future__ import annotations

import json
from typing import Any

from tirastore.schedules import make_key, make_program_hash

__all__ = ["canonical_json", "make_key", "make_program_hash"]


def canonical_json(obj: dict[str, Any]) -> str:
    """Return `obj` as JSON: keys sorted, no blanks, ASCII only."""
    return json.dumps(obj, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
