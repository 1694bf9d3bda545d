"""How many contracts of each leg are traded and held at an instant: pure functions of seed, day and time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from optrading.collection.feeds.synthetic.noise import Keys, mix, uniforms
from optrading.collection.feeds.synthetic.underlyings import Underlying
from optrading.market.chain import Floats

_WALK_LEVELS = 12
"""Halvings of a day in the walk of open interest: its shortest wave takes 21 s."""
_WALK_SIZE = 0.3
"""Of a leg's usual open interest; walks stay below 3 times this, so that open interest stays positive."""
_BURSTS = ((3, 0.5), (23, 0.4))
"""(waves in a day, depth) of trading intensity; depths together below 1 keep it positive."""


@dataclass(frozen=True, slots=True, eq=False)
class Interest:
    """What is usual for each leg on one day; shapes (2 sides, M strikes over all expiries), calls first.

    Attributes:
        keys: Hash of each leg.
        open_interest_contracts: Usual open interest.
        volume_contracts: A whole day's volume.
        burst_phase: When trading is busy, fraction of a wave, shape (waves, 2, M).
    """

    keys: Keys
    open_interest_contracts: Floats
    volume_contracts: Floats
    burst_phase: Floats


def usual_interest(
    underlying: Underlying,
    strike_inr: Floats,
    days_ahead: NDArray[np.int64],
    expiry_row: NDArray[np.intp],
    opening_spot_inr: float,
    keys: Keys,
) -> Interest:
    """Return what is usual on a day that opened at `opening_spot_inr`.

    Calls are held above the money and puts below it, more of them at round strikes; trading is thickest at the
    money and dies away faster in the money. Both are less the further away the expiry is.

    Args:
        underlying: The index.
        strike_inr: Strikes of all expiries, one after another, shape (M,).
        days_ahead: Days to each expiry, shape (E,).
        expiry_row: Expiry of each strike, shape (M,).
        opening_spot_inr: Value of the index when the day began.
        keys: Hash of each leg, shape (2, M).
    """
    years = np.maximum(days_ahead, 2) / 365.0
    deviations = np.log(strike_inr / opening_spot_inr) / (underlying.vol * np.sqrt(years))[expiry_row]
    side = np.array([[1.0], [-1.0]])
    round_strike = np.where(strike_inr % (10 * underlying.index.strike_step_inr) == 0, 3.0, 1.0)
    luck = np.exp(1.2 * (uniforms(mix(keys, 1)) - 0.5))
    held = (np.exp(-0.5 * ((deviations - side) / 1.4) ** 2) + 0.01) * round_strike * luck
    out_of_money = deviations * side
    fading = np.where(out_of_money > 0, 1.4 * out_of_money, -2.0 * out_of_money)
    traded = np.exp(-fading) * round_strike**0.5 * luck
    return Interest(
        keys=keys,
        open_interest_contracts=_share(held, expiry_row)
        * (underlying.open_interest_contracts / (1.0 + days_ahead / 30.0))[expiry_row],
        volume_contracts=_share(traded, expiry_row) * (underlying.volume_contracts / (1.0 + days_ahead))[expiry_row],
        burst_phase=np.stack([uniforms(mix(keys, 2 + wave)) for wave, _ in _BURSTS]),
    )


def volume_contracts(interest: Interest, day_passed: float) -> Floats:
    """Return the contracts traded since the day began, whole, shape (2, M); never decreasing while the day lasts.

    Args:
        interest: What is usual.
        day_passed: Fraction of the day that is over, in [0, 1).
    """
    done = np.full(interest.keys.shape, day_passed)
    for (waves, depth), phase in zip(_BURSTS, interest.burst_phase, strict=True):
        turn = 2 * np.pi * waves
        angle = 2 * np.pi * phase
        done += depth / turn * (np.sin(turn * day_passed + angle) - np.sin(angle))
    # The phases' sines leave rounding of 1e-17 behind at the start of the day.
    whole: Floats = np.floor(interest.volume_contracts * np.maximum(done, 0.0))
    return whole


def open_interest_contracts(interest: Interest, day_ordinal: int, day_passed: float) -> tuple[Floats, Floats]:
    """Return open interest and its change since the day began, whole contracts, each of shape (2, M).

    Args:
        interest: What is usual.
        day_ordinal: Day in India, `date.toordinal`.
        day_passed: Fraction of it that is over, in [0, 1).
    """
    days = 2.0 * uniforms(mix(interest.keys[..., None], np.array([day_ordinal, day_ordinal + 1]))) - 1.0
    levels = np.arange(_WALK_LEVELS)
    cells = np.floor(day_passed * 2.0**levels)
    tent = 1.0 - np.abs(2.0 * (day_passed * 2.0**levels - cells) - 1.0)
    names = (day_ordinal * 2**_WALK_LEVELS + cells.astype(np.int64)) * _WALK_LEVELS + levels
    steps = 2.0 * uniforms(mix(mix(interest.keys, 10)[..., None], names)) - 1.0
    walk = days[..., 0] * (1 - day_passed) + days[..., 1] * day_passed + steps @ (tent * 0.5 * 2.0 ** (-levels / 2))
    begun = np.floor(interest.open_interest_contracts * (1.0 + _WALK_SIZE * days[..., 0]))
    now = np.floor(interest.open_interest_contracts * (1.0 + _WALK_SIZE * walk))
    return now, now - begun


def _share(weight: Floats, expiry_row: NDArray[np.intp]) -> Floats:
    """Return `weight`, shape (2, M), scaled so that each side of each expiry adds up to 1."""
    totals = np.stack([np.bincount(expiry_row, weights=side) for side in weight])
    return weight / totals[:, expiry_row]
