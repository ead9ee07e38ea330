"""Random numbers from the seed: a draw depends only on the seed and a number, not on earlier draws.

So any day, and any piece of a day, can be generated without the days before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Words = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]

_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 2**64 - 1


def random_words(seed: int, stream: int, numbers: Words | Integers) -> Words:
    """64 uniform bits for each number (SplitMix64); each stream of a seed is independent of the others."""
    offset = _mix_one(_mix_one(seed) + stream)
    words: Words = numbers.astype(np.uint64) * np.uint64(_GOLDEN)
    words += np.uint64(offset)
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words


def _mix_one(number: int) -> int:
    word = (number + _GOLDEN) & _WORD
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)


def bits(words: Words, *, low: int, count: int) -> Integers:
    """`count` bits of each word, from bit `low` on, as an integer."""
    index: Integers = ((words >> np.uint64(low)) & np.uint64(2**count - 1)).astype(np.int64)
    return index


def below(limit: int, uniform: Integers, *, count: int) -> Integers:
    """A number from 0 to limit - 1 from `count` uniform bits; limit and count together stay below 63 bits."""
    return (uniform * limit) >> count


def quantiles(weights: Sequence[float] | npt.NDArray[np.floating[Any]], *, count: int) -> Integers:
    """A table of 2**count entries: uniform bits look up index i with a frequency proportional to weights[i]."""
    cumulated = np.cumsum(np.asarray(weights, dtype=np.float64))
    middles = (np.arange(2**count) + 0.5) / 2**count * cumulated[-1]
    table: Integers = np.searchsorted(cumulated, middles, side="right").astype(np.int64)
    return table
