"""The one place that imports islpy, so that a missing package has one clear message."""

from __future__ import annotations

try:
    import islpy
except ModuleNotFoundError as missing:
    if missing.name != "islpy":
        raise
    raise ModuleNotFoundError(
        "the measurer needs islpy: pip install 'tirastore[demo]'", name="islpy"
    ) from missing

__all__ = ["islpy"]
