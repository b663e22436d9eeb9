"""Which part of a data set a program is in."""

from __future__ import annotations

import hashlib
import itertools
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Split"]

_NAMES = {2: ("train", "test"), 3: ("train", "validation", "test")}


class Split:
    """Puts whole programs into parts: a model is tested on programs that it never saw.

    Where a program goes depends on its hash and the seed alone. So it stays there when others are
    measured, and is there in the data sets of every store.

    Parameters
    ----------
    fractions : sequence of float
        Of programs in training and test, or in training, validation and test; their sum is 1.
    seed : int
        Another one gives another split.

    Raises
    ------
    ValueError
        The fractions are no split.

    Examples
    --------
    >>> split = Split((0.8, 0.2), seed=42)
    >>> split.names
    ('train', 'test')
    >>> split.part_of("0" * 64) == split.part_of("0" * 64)
    True
    """

    def __init__(self, fractions: Sequence[float], seed: int) -> None:
        self.fractions = tuple(float(fraction) for fraction in fractions)
        self.seed = seed
        self.names = _NAMES.get(len(self.fractions), ())
        is_split = all(fraction > 0 for fraction in self.fractions)
        if not self.names or not is_split or not math.isclose(sum(self.fractions), 1.0):
            raise ValueError(
                "split must be fractions of training and test, or of training, validation and "
                f"test, positive and with the sum 1, got {tuple(fractions)}"
            )
        self._bounds = list(itertools.accumulate(self.fractions))

    def part_of(self, program_hash: str) -> str:
        """Return the name of the part that a program is in.

        Parameters
        ----------
        program_hash : str
            64 hexadecimal digits.

        Returns
        -------
        str
            One of ``names``.
        """
        digest = hashlib.sha256(f"{self.seed}:{program_hash}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") / 2**64
        inside = (name for name, end in zip(self.names, self._bounds, strict=True) if place < end)
        # The last bound may be a little below 1.
        return next(inside, self.names[-1])
