from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from optrading.collection.feeds.synthetic.quotes import half_spread_inr, last_trade_inr, quote

FAIR = st.floats(0, 20_000)
DEVIATIONS = st.floats(-20, 20)
ILLIQUIDITY = st.floats(1, 5)


def is_on_tick(price: float) -> bool:
    return price == round(price * 20) / 20


@given(fair=FAIR, deviations=DEVIATIONS, illiquidity=ILLIQUIDITY, place=st.floats(-1, 1))
def test_quotes_are_on_the_tick_around_the_fair_price_and_never_crossed(
    fair: float, deviations: float, illiquidity: float, place: float
) -> None:
    prices = np.array([fair])
    bid, ask = quote(prices, half_spread_inr(prices, np.array([deviations]), illiquidity))
    assert is_on_tick(ask[0])
    assert ask[0] >= max(fair, 0.05)
    if np.isnan(bid[0]):
        assert fair < 0.05 + (ask[0] - fair)
    else:
        assert is_on_tick(bid[0])
        assert 0.05 <= bid[0] <= fair
        assert bid[0] < ask[0]
    last = last_trade_inr(prices, bid, ask, np.array([place]), np.ones(1))[0]
    assert is_on_tick(last)
    assert np.nan_to_num(bid[0], nan=0.05) <= last <= ask[0]


@given(fair=st.floats(0.05, 20_000), near=st.floats(0, 8), further=st.floats(0, 8), illiquidity=ILLIQUIDITY)
def test_spreads_are_wider_away_from_the_money(fair: float, near: float, further: float, illiquidity: float) -> None:
    prices = np.array([fair])
    low, high = sorted((near, further))
    assert half_spread_inr(prices, np.array([-low]), illiquidity) <= half_spread_inr(
        prices, np.array([high]), illiquidity
    )


def test_what_has_not_traded_has_no_last_price() -> None:
    last = last_trade_inr(np.full(2, 5.0), np.full(2, 4.9), np.full(2, 5.1), np.zeros(2), np.array([0.0, 1.0]))
    np.testing.assert_array_equal(last, [np.nan, 5.0])
