"""Randomness that is a pure function of seed and time, so that a market needs no state and survives any restart."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

from optrading.market.chain import Floats

Keys = NDArray[np.uint64]
"""Hashes that name a random quantity; never 0-dimensional, because numpy scalars warn where arrays wrap around."""

_GOLDEN = np.array([0x9E3779B97F4A7C15], dtype=np.uint64)
_MULTIPLIER_1 = np.array([0xBF58476D1CE4E5B9], dtype=np.uint64)
_MULTIPLIER_2 = np.array([0x94D049BB133111EB], dtype=np.uint64)
_S30, _S27, _S31, _S11 = (np.array([bits], dtype=np.uint64) for bits in (30, 27, 31, 11))

MICROS_PER_SECOND = 1_000_000
YEAR_S = 365 * 86_400.0
"""Seconds of a year of 365 days: this market never closes, so time to expiry and variance run by the calendar."""


def mix(keys: Keys, part: ArrayLike) -> Keys:
    """Return new keys for each of `keys` and whole number in `part`, broadcast.

    Source: the finalizer of SplitMix64, G. L. Steele, D. Lea, C. H. Flood (2014), "Fast splittable pseudorandom
    number generators", OOPSLA.
    """
    x = (keys ^ np.atleast_1d(np.asarray(part)).astype(np.uint64)) + _GOLDEN
    x = (x ^ (x >> _S30)) * _MULTIPLIER_1
    x = (x ^ (x >> _S27)) * _MULTIPLIER_2
    mixed: Keys = x ^ (x >> _S31)
    return mixed


def seed_keys(seed: int, *parts: int) -> Keys:
    """Return one key, shape (1,), for a seed of any size and some whole numbers."""
    keys = np.array([seed & 0xFFFF_FFFF_FFFF_FFFF], dtype=np.uint64)
    for part in parts:
        keys = mix(keys, part)
    return mix(keys, 0)


def uniforms(keys: Keys) -> Floats:
    """Return a number inside (0, 1) for each key, uniformly distributed."""
    return ((keys >> _S11).astype(np.float64) + 0.5) * 2.0**-53


def normals(keys: Keys) -> Floats:
    """Return a standard normal number for each key."""
    values: Floats = ndtri(uniforms(keys))
    return values


class BrownianPaths:
    """Independent stationary paths that locally are Brownian motion: variance grows by 1 per year.

    Every 97 days each path passes a normal point of its own; between two such points it is a Brownian bridge, built
    from midpoint displacements of ever shorter intervals down to 1/64 s, of which one instant needs one per level.

    Source: P. Lévy's construction, in P. Mörters, Y. Peres (2010), "Brownian Motion", section 1.1.
    """

    _BLOCK_S = 2**23
    _LEVELS = 29

    def __init__(self, seed: int, count: int) -> None:
        """Make `count` paths."""
        lengths = [self._BLOCK_S * MICROS_PER_SECOND >> level for level in range(self._LEVELS)]
        self._length_micros = np.array(lengths, dtype=np.int64)
        # A bridge over L has the variance L/4 at its midpoint; endpoints of variance T/2 make the variance the same
        # at endpoints, where it is T/2, and at midpoints, where it is T/4 + T/4.
        self._displacement = 0.5 * np.sqrt(self._length_micros / MICROS_PER_SECOND / YEAR_S)
        self._spread = np.sqrt(self._BLOCK_S / YEAR_S / 2)
        paths = mix(seed_keys(seed, 1), np.arange(count))[:, None]
        self._end_keys = mix(paths, self._LEVELS)
        self._level_keys = mix(paths, np.arange(self._LEVELS)[None, :])

    def at(self, micros: int) -> Floats:
        """Return the paths' values at an instant (microseconds since 1970), shape (count,), in sqrt(years)."""
        cells = micros // self._length_micros
        passed = (micros - cells * self._length_micros) / self._length_micros
        tent = 1.0 - np.abs(2.0 * passed - 1.0)
        ends = self._spread * normals(mix(self._end_keys, np.array([[cells[0], cells[0] + 1]])))
        bridge = normals(mix(self._level_keys, cells[None, :])) @ (tent * self._displacement)
        values: Floats = ends[:, 0] * (1 - passed[0]) + ends[:, 1] * passed[0] + bridge
        return values
