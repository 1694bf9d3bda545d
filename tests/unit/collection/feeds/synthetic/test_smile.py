"""Absence of arbitrage of the surface itself, over everything its inputs can be."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from optrading.collection.feeds.synthetic import smile

VOLS = st.floats(0.08, 0.25)
FACTORS = st.floats(0.3, 3.5)
YEARS = st.lists(st.floats(1e-7, 0.5), min_size=2, max_size=6, unique=True).map(lambda years: np.array(sorted(years)))
FORWARDS = st.floats(10_000, 90_000)


def test_the_parameters_satisfy_the_conditions_of_the_theorems() -> None:
    assert smile.CURVATURE * (1 + abs(smile.SKEW)) <= 2
    theta = np.geomspace(1e-12, 10, 200)
    phi = smile.CURVATURE / np.sqrt(theta * (1 + theta))
    assert (theta * phi * (1 + abs(smile.SKEW)) < 4).all()
    assert (theta * phi**2 * (1 + abs(smile.SKEW)) <= 4).all()
    growth = np.gradient(theta * phi, theta)
    bound = (1 + np.sqrt(1 - smile.SKEW**2)) / smile.SKEW**2 * phi
    assert ((growth >= -1e-9) & (growth <= bound)).all()


@given(vol=VOLS, factor=FACTORS, years=YEARS)
def test_variance_at_the_money_grows_with_time(vol: float, factor: float, years: np.ndarray) -> None:
    theta = smile.atm_variance(vol, factor, years)
    assert (theta > 0).all()
    # But for rounding: numpy may compute two equal times in different lanes, some units in the last place apart.
    assert (np.diff(theta) >= -16 * np.spacing(theta[1:])).all()


@given(vol=VOLS, factor=FACTORS, years=YEARS)
def test_there_is_no_calendar_arbitrage(vol: float, factor: float, years: np.ndarray) -> None:
    log_moneyness = np.linspace(-0.5, 0.5, 201)
    theta = smile.atm_variance(vol, factor, years)
    variance = smile.total_variance(log_moneyness[None, :], theta[:, None])
    assert (variance > 0).all()
    assert (np.diff(variance, axis=0) >= -1e-15).all()


@given(vol=VOLS, factor=FACTORS, years=st.floats(1e-7, 0.5), forward=FORWARDS, width=st.floats(0.0002, 0.004))
def test_there_is_no_butterfly_arbitrage(vol: float, factor: float, years: float, forward: float, width: float) -> None:
    strikes = forward * (1 + width * np.arange(-60, 61))
    theta = smile.atm_variance(vol, factor, np.array([years]))
    variance = smile.total_variance(np.log(strikes / forward), theta)
    call, put = smile.prices(np.full(1, forward), strikes, variance, np.full(1, years))
    noise = 1e-11 * forward  # a price is the difference of two numbers of the forward's size
    discount = np.exp(-smile.RATE_PER_YEAR * years)
    step = np.diff(strikes)
    assert (np.diff(call) <= noise).all()
    assert (np.diff(put) >= -noise).all()
    assert (-np.diff(call) <= discount * step + noise).all()
    assert (np.diff(put) <= discount * step + noise).all()
    assert (np.diff(call, 2) >= -4 * noise).all()
    assert (np.diff(put, 2) >= -4 * noise).all()
    assert (call >= np.maximum(discount * (forward - strikes), 0) - noise).all()
    assert (put >= np.maximum(discount * (strikes - forward), 0) - noise).all()
    np.testing.assert_allclose(call - put, discount * (forward - strikes), rtol=0, atol=noise)


def test_low_strikes_have_more_volatility_than_high_ones() -> None:
    variance = smile.total_variance(np.array([-0.05, 0.0, 0.05]), np.array([0.12**2 * 0.05]))
    vols = np.sqrt(variance / 0.05)
    assert vols[0] > vols[1]
    assert vols[0] > vols[2]
    np.testing.assert_allclose(vols[1], 0.12, rtol=1e-12)


def test_a_price_agrees_with_the_textbook() -> None:
    # J. Hull, "Options, Futures, and Other Derivatives", the example of Black's model: a put on a future, F = K = 20,
    # r = 9 %, sigma = 25 %, four months, is worth 1.12.
    put = smile.prices(np.array([20.0]), np.array([20.0]), np.array([0.25**2 / 3]), np.array([1 / 3]))[1]
    # Ours discounts with its own rate; undo it and apply the book's.
    worth = put[0] * np.exp((smile.RATE_PER_YEAR - 0.09) / 3)
    assert round(float(worth), 2) == 1.12


@settings(max_examples=20)
@given(deviation=st.floats(0.01, 0.3), distance=st.floats(-3, 3), years=st.floats(0.001, 0.5))
def test_a_price_is_the_discounted_mean_of_what_is_paid(deviation: float, distance: float, years: float) -> None:
    forward = 24_000.0
    strike = forward * np.exp(distance * deviation)
    kink = distance + deviation / 2

    def paid(z: float) -> float:
        return float(forward * np.exp(deviation * z - deviation**2 / 2) - strike)

    mean = quad(lambda z: paid(z) * norm.pdf(z), kink, kink + 12, epsabs=1e-9, epsrel=1e-11)[0]
    call, _ = smile.prices(np.array([forward]), np.array([strike]), np.array([deviation**2]), np.array([years]))
    np.testing.assert_allclose(call[0], np.exp(-smile.RATE_PER_YEAR * years) * mean, rtol=1e-7, atol=1e-7)
