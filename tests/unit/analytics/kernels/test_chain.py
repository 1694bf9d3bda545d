"""One expiry from prices to summary."""

import math
from dataclasses import replace
from datetime import UTC, date, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.analytics.kernels.black76 import price_and_greeks
from optrading.analytics.kernels.chain import ExpiryResult, analyse_expiry, choose_prices
from optrading.analytics.kernels.forward import ForwardSource
from optrading.analytics.kernels.status import LegStatus, PriceSource

from .columns import Side, side

NAN = math.nan
EVENT_TIME, EXPIRY, RATE = datetime(2026, 8, 20, 4, 30, tzinfo=UTC), date(2026, 9, 1), 0.065
YEARS = (12 + 5.5 / 24) / 365
FORWARD_INR, SPOT_INR = 25_060.0, 24_990.0
STRIKE_INR = np.arange(24_000.0, 26_001.0, 50.0)
VOL = 0.12 + np.log(STRIKE_INR / FORWARD_INR) ** 2
SIZE = STRIKE_INR.size


def fair_side(is_call: bool) -> Side:
    """Quote one side around its fair price, one tick wide, with open interest and volume."""
    price = price_and_greeks(FORWARD_INR, STRIKE_INR, VOL, YEARS, RATE, is_call).price_inr
    units = np.arange(SIZE, dtype=float) * (75 if is_call else 150)
    return Side(price * 1.1, price - 0.05, price + 0.05, units * 10, units)


def analyse(call: Side, put: Side, spot_inr: float = SPOT_INR, event_time: datetime = EVENT_TIME) -> ExpiryResult:
    """Analyse the common expiry."""
    return analyse_expiry(STRIKE_INR, call, put, spot_inr, event_time, EXPIRY, RATE)


def test_a_fair_chain_gives_its_forward_its_smile_and_its_greeks_back() -> None:
    result = analyse(fair_side(True), fair_side(False))
    assert result.years == pytest.approx(YEARS, rel=1e-14)
    assert result.discount == pytest.approx(math.exp(-RATE * YEARS), rel=1e-14)
    assert result.forward.source is ForwardSource.PARITY
    assert result.forward.forward_inr == pytest.approx(FORWARD_INR, rel=1e-12)
    for legs, is_call in ((result.call, True), (result.put, False)):
        assert (legs.status == LegStatus.OK).all()
        assert (legs.price_source == PriceSource.MID).all()
        np.testing.assert_allclose(legs.implied_vol, VOL, rtol=1e-8)
        exact = price_and_greeks(FORWARD_INR, STRIKE_INR, VOL, YEARS, RATE, is_call)
        for name in ("delta", "gamma_per_inr", "theta_inr_per_day", "vega_inr_per_vol_point", "rho_inr_per_rate_point"):
            np.testing.assert_allclose(getattr(legs, name), getattr(exact, name), rtol=1e-6)


def test_the_summary_adds_up() -> None:
    call, put = fair_side(True), fair_side(False)
    result = analyse(call, put)
    summary, atm = result.summary, 20
    assert summary.atm_strike_inr == STRIKE_INR[atm] == 25_000.0
    assert summary.atm_implied_vol == pytest.approx(VOL[atm], rel=1e-8)
    assert summary.straddle_inr == pytest.approx(result.call.price_inr[atm] + result.put.price_inr[atm])
    assert summary.pcr_open_interest == summary.pcr_volume == 2.0
    assert summary.call_open_interest_units == call.open_interest_units.sum()
    assert summary.put_open_interest_units == put.open_interest_units.sum()
    assert summary.call_volume_units == call.volume_units.sum()
    assert summary.put_volume_units == put.volume_units.sum()
    assert summary.max_pain_inr in STRIKE_INR


@given(
    st.sampled_from(["call", "put"]),
    st.sampled_from([("last_inr", "bid_inr", "ask_inr"), ("open_interest_units",), ("volume_units",)]),
    st.integers(0, SIZE - 1),
)
def test_what_a_leg_lacks_spoils_that_leg_only(which: str, columns: tuple[str, ...], row: int) -> None:
    sides = {"call": fair_side(True), "put": fair_side(False)}
    for column in columns:
        values = getattr(sides[which], column).copy()
        values[row] = NAN
        sides[which] = replace(sides[which], **{column: values})
    result = analyse(**sides)
    spoiled = np.arange(SIZE) == row if "last_inr" in columns else np.zeros(SIZE, dtype=bool)
    for name in ("call", "put"):
        legs, expected = getattr(result, name), spoiled if name == which else ~np.ones(SIZE, dtype=bool)
        np.testing.assert_array_equal(legs.status == LegStatus.NO_TRADE, expected)
        np.testing.assert_array_equal(np.isnan(legs.implied_vol), expected)
        np.testing.assert_array_equal(np.isnan(legs.delta), expected)
    assert math.isfinite(result.summary.pcr_open_interest)
    assert math.isfinite(result.summary.pcr_volume)


@pytest.mark.parametrize(
    ("bid", "ask", "last", "price", "source"),
    [
        (99.0, 101.0, 50.0, 100.0, PriceSource.MID),
        (100.0, 100.0, 50.0, 100.0, PriceSource.MID),
        (101.0, 99.0, 50.0, 50.0, PriceSource.LAST),
        (0.0, 101.0, 50.0, 50.0, PriceSource.LAST),
        (NAN, 101.0, 50.0, 50.0, PriceSource.LAST),
        (99.0, NAN, 50.0, 50.0, PriceSource.LAST),
        (99.0, math.inf, 50.0, 50.0, PriceSource.LAST),
        (NAN, NAN, 0.0, NAN, PriceSource.NONE),
        (99.0, NAN, NAN, NAN, PriceSource.NONE),
    ],
)
def test_the_middle_of_a_sound_quote_comes_before_the_last_price(
    bid: float, ask: float, last: float, price: float, source: PriceSource
) -> None:
    legs = side(1, bid_inr=np.array([bid]), ask_inr=np.array([ask]), last_inr=np.array([last]))
    chosen, sources, half_spread = choose_prices(np.array([25_000.0]), legs)
    np.testing.assert_equal(chosen[0], price)
    assert sources[0] == source
    assert math.isfinite(half_spread[0]) == (source is PriceSource.MID)


def test_of_two_strikes_equally_near_to_spot_the_lower_is_at_the_money() -> None:
    assert analyse(fair_side(True), fair_side(False), spot_inr=25_025.0).summary.atm_strike_inr == 25_000.0


def test_one_side_alone_at_the_money_gives_no_atm_volatility_and_no_straddle() -> None:
    nothing = side(SIZE)
    summary = analyse(fair_side(True), nothing).summary
    assert summary.atm_strike_inr == 25_000.0
    assert math.isnan(summary.atm_implied_vol)
    assert math.isnan(summary.straddle_inr)
    assert math.isnan(summary.pcr_open_interest)
    assert math.isnan(summary.put_open_interest_units)


def test_after_the_expiry_every_leg_is_expired_and_open_interest_still_adds_up() -> None:
    result = analyse(fair_side(True), fair_side(False), event_time=datetime(2026, 9, 1, 10, 0, tzinfo=UTC))
    assert result.years == 0.0
    assert result.discount == 1.0
    assert (result.call.status == LegStatus.EXPIRED).all()
    assert np.isnan(result.put.theta_inr_per_day).all()
    assert result.summary.pcr_open_interest == 2.0


def test_a_chain_of_which_nothing_is_known_gives_nothing() -> None:
    result = analyse(side(SIZE), side(SIZE), spot_inr=NAN)
    assert result.forward.source is ForwardSource.UNAVAILABLE
    assert (result.call.status == LegStatus.NO_TRADE).all()
    assert all(math.isnan(getattr(result.summary, name)) for name in type(result.summary).__slots__)


def test_no_strikes_are_no_legs() -> None:
    result = analyse_expiry(np.empty(0), side(0), side(0), SPOT_INR, EVENT_TIME, EXPIRY, RATE)
    assert result.call.implied_vol.size == result.put.status.size == 0
    assert math.isnan(result.summary.atm_strike_inr)


@pytest.mark.parametrize("column", ["last_inr", "bid_inr", "volume_units", "open_interest_units"])
def test_a_column_of_another_length_is_refused_by_name(column: str) -> None:
    put = replace(fair_side(False), **{column: np.ones(SIZE - 1)})
    with pytest.raises(ValueError, match=column):
        analyse(fair_side(True), put)


@pytest.mark.parametrize("rate", [NAN, math.inf])
def test_a_rate_that_is_no_number_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="rate_per_year"):
        analyse_expiry(STRIKE_INR, side(SIZE), side(SIZE), SPOT_INR, EVENT_TIME, EXPIRY, rate)
