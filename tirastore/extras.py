"""Optional packages: imported where they are used, with an error that says how to install them."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["needed"]


def needed(module: str, purpose: str, install: str = "pip install 'tirastore[analysis]'") -> Any:
    """Import an optional package.

    Parameters
    ----------
    module : str
        Its name.
    purpose : str
        What it is needed for.
    install : str
        How it is installed.

    Returns
    -------
    module
        The package.

    Raises
    ------
    ImportError
        It is not installed; the text says how to install it.

    Examples
    --------
    >>> needed("pyarrow", "reading parquet").__name__
    'pyarrow'
    """
    try:
        return importlib.import_module(module)
    except ImportError as missing:
        raise ImportError(
            f"{purpose} needs {module}, which is not installed: {install}"
        ) from missing
