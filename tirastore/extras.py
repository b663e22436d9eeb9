"""Optional packages: imported where they are used, with an error that says how to install them."""

from __future__ import annotations

__all__ = ["pyarrow_for"]


def pyarrow_for(purpose: str) -> None:
    """Check that pyarrow is installed.

    Parameters
    ----------
    purpose : str
        What it is needed for.

    Raises
    ------
    ImportError
        It is not; the text says how to install it.

    Examples
    --------
    >>> pyarrow_for("reading parquet")
    """
    try:
        import pyarrow as pa  # noqa: F401, PLC0415
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs pyarrow, which is not installed: pip install 'tirastore[analysis]'"
        ) from error
