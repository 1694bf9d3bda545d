"""Candles: a minute's prices, what was traded in it, open interest at its end."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from optrading.testing.kite import ChainTape
from optrading.testing.kite.candles import CandleMaker
from optrading.testing.kite.instruments import contract, index_instrument
from tests.chains import OPENING, THIS_WEEK, small_chain

MINUTE = timedelta(minutes=1)
CALL = contract("NIFTY", THIS_WEEK, 24_950.0, "CE", 65)


@pytest.fixture
def maker() -> CandleMaker:
    # Minute 4 is missing.
    return CandleMaker(ChainTape([small_chain(minute=minute) for minute in (0, 1, 2, 3, 5)]))


def test_every_minute_that_has_a_price_has_a_candle(maker: CandleMaker) -> None:
    candles = maker.candles(CALL, OPENING, OPENING + 9 * MINUTE, OPENING + 9 * MINUTE)
    assert [candle.minute - OPENING for candle in candles] == [n * MINUTE for n in (0, 1, 2, 3, 5)]
    legs = small_chain(minute=1).expiries[0].call
    close = round(legs.last_inr[1] * 100)
    assert candles[1].prices == (close,) * 4
    assert candles[1].volume_units == 0
    assert candles[1].open_interest_units == legs.open_interest_units[1]


def test_nothing_is_told_of_the_future(maker: CandleMaker) -> None:
    now = OPENING + 2 * MINUTE + timedelta(seconds=30)
    candles = maker.candles(CALL, OPENING, OPENING + 9 * MINUTE, now)
    assert [candle.minute - OPENING for candle in candles] == [0 * MINUTE, MINUTE, 2 * MINUTE]


def test_an_index_has_prices_and_no_volume(maker: CandleMaker) -> None:
    (candle,) = maker.candles(index_instrument("NIFTY"), OPENING, OPENING, OPENING + MINUTE)
    assert candle.row(with_interest=True) == ["2026-08-18T09:15:00+0530", *[24951.5] * 4, 0, 0]
    assert len(candle.row(with_interest=False)) == 6


def test_a_contract_that_the_tape_does_not_have_has_no_candles(maker: CandleMaker) -> None:
    for unknown in (
        contract("NIFTY", THIS_WEEK, 1.0, "CE", 65),
        contract("NIFTY", date(2027, 1, 5), 24_950.0, "PE", 65),
    ):
        assert maker.candles(unknown, OPENING, OPENING + 9 * MINUTE, OPENING + 9 * MINUTE) == []
