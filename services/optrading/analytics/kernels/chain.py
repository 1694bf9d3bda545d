"""One expiry of one chain, from prices to everything a trader looks at: the entry point of the kernels."""

import math
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

import numpy as np

from .arrays import Codes, Floats, columns_of_equal_length, sum_of_known
from .black76 import Greeks, price_and_greeks
from .clock import years_to_expiry
from .forward import Forward, parity_forward
from .implied_vol import implied_vol
from .max_pain import max_pain
from .open_interest import put_call_ratio
from .status import PriceSource


class LegColumns(Protocol):
    """What is read of one side (calls or puts): columns of shape (N,), NaN where nothing is known."""

    @property
    def last_inr(self) -> Floats:
        """Last traded price, rupees per unit; zero means never traded."""

    @property
    def bid_inr(self) -> Floats:
        """Best bid, rupees per unit."""

    @property
    def ask_inr(self) -> Floats:
        """Best ask, rupees per unit."""

    @property
    def volume_units(self) -> Floats:
        """Traded today, units of the index."""

    @property
    def open_interest_units(self) -> Floats:
        """Open interest, units of the index."""


@dataclass(frozen=True, slots=True, eq=False)
class LegAnalytics:
    """Results of one side; every column has shape (N,), and NaN where there is no such number.

    Attributes:
        price_inr: Price used, rupees per unit.
        price_source: `PriceSource` codes.
        implied_vol: Black-76 volatility on the forward, per sqrt(year); 0.15 is 15 %.
        status: `LegStatus` codes; anything but `OK` has NaN in the volatility and in the Greeks.
        delta: Change of price per rupee of the forward, discounted.
        gamma_per_inr: Change of delta per rupee of the forward.
        theta_inr_per_day: Change of price per calendar day passing.
        vega_inr_per_vol_point: Change of price per volatility point (0.01).
        rho_inr_per_rate_point: Change of price per percentage point (0.01) of the rate, forward held.
    """

    price_inr: Floats
    price_source: Codes
    implied_vol: Floats
    status: Codes
    delta: Floats
    gamma_per_inr: Floats
    theta_inr_per_day: Floats
    vega_inr_per_vol_point: Floats
    rho_inr_per_rate_point: Floats


@dataclass(frozen=True, slots=True)
class ExpirySummary:
    """The figures of one expiry; NaN where they cannot be had.

    Attributes:
        atm_strike_inr: Listed strike nearest to spot, rupees; of two equally near, the lower. Spot, not the forward, so
            that it is the strike of ATM offset 0.
        atm_implied_vol: Mean volatility of call and put at that strike, per sqrt(year); NaN unless both are solved.
        straddle_inr: Call plus put at that strike, rupees.
        pcr_open_interest: Put over call open interest.
        pcr_volume: Put over call volume.
        max_pain_inr: Strike at which option buyers together are paid least at expiry, rupees.
        call_open_interest_units: Open interest of all calls, units.
        put_open_interest_units: Open interest of all puts, units.
        call_volume_units: Volume of all calls, units.
        put_volume_units: Volume of all puts, units.
    """

    atm_strike_inr: float
    atm_implied_vol: float
    straddle_inr: float
    pcr_open_interest: float
    pcr_volume: float
    max_pain_inr: float
    call_open_interest_units: float
    put_open_interest_units: float
    call_volume_units: float
    put_volume_units: float


@dataclass(frozen=True, slots=True, eq=False)
class ExpiryResult:
    """Everything computed for one expiry.

    Attributes:
        strike_inr: Strikes as given, rupees, shape (N,).
        years: Time to 15:30 IST of the expiry day, years of 365 days; 0 when expired.
        discount: exp(-rate * years).
        forward: Forward used and where it is from.
        call: Results of the calls.
        put: Results of the puts.
        summary: Figures over all strikes.
    """

    strike_inr: Floats
    years: float
    discount: float
    forward: Forward
    call: LegAnalytics
    put: LegAnalytics
    summary: ExpirySummary


def analyse_expiry(
    strike_inr: Floats,
    call: LegColumns,
    put: LegColumns,
    spot_inr: float,
    event_time: datetime,
    expiry: date,
    rate_per_year: float,
) -> ExpiryResult:
    """Compute forward, volatilities, Greeks and summary of one expiry.

    Args:
        strike_inr: Listed strikes, shape (N,), rupees, each once, in any order; N may be 0.
        call: Prices, volume and open interest of the calls of these strikes.
        put: The same for the puts.
        spot_inr: Value of the index, rupees; NaN when unknown.
        event_time: Instant of the prices, aware.
        expiry: Expiry day in India.
        rate_per_year: Continuously compounded.

    Returns:
        Columns in the order of `strike_inr`. What a leg lacks spoils that leg only; nothing is filled in.

    Raises:
        ValueError: columns differ in length, `event_time` has no time zone, or `rate_per_year` is not finite.
    """
    if not math.isfinite(rate_per_year):
        raise ValueError(f"rate_per_year is {rate_per_year}, must be finite")
    (strike,) = columns_of_equal_length(strike_inr=strike_inr)
    years = years_to_expiry(event_time, expiry)
    discount = math.exp(-rate_per_year * years)
    call_price, call_source, call_half_spread = choose_prices(strike, call)
    put_price, put_source, put_half_spread = choose_prices(strike, put)
    forward = parity_forward(strike, call_price, put_price, call_half_spread, put_half_spread, discount, spot_inr)

    # both sides go through each kernel together: numpy's cost is per call more than per leg
    both_strikes = np.concatenate((strike, strike))
    is_call = np.arange(both_strikes.size) < strike.size
    prices = np.concatenate((call_price, put_price))
    vol, status = implied_vol(prices, forward.forward_inr, both_strikes, years, rate_per_year, is_call)
    greeks = price_and_greeks(forward.forward_inr, both_strikes, vol, years, rate_per_year, is_call)
    calls, puts = slice(None, strike.size), slice(strike.size, None)
    call_result = _side(call_price, call_source, vol, status, greeks, calls)
    put_result = _side(put_price, put_source, vol, status, greeks, puts)
    summary = _summary(strike, call, put, call_result, put_result, spot_inr)
    return ExpiryResult(strike, years, discount, forward, call_result, put_result, summary)


def choose_prices(strike_inr: Floats, legs: LegColumns) -> tuple[Floats, Codes, Floats]:
    """Choose the price of each leg: the middle of a sound quote, else the last price, else none.

    A quote is sound when both sides are there, finite, positive, and not crossed; bid equal to ask is sound.

    Args:
        strike_inr: Strikes, shape (N,); gives the length that the columns must have.
        legs: Prices of one side.

    Returns:
        `(price_inr, price_source, half_spread_inr)`, each of shape (N,): rupees, `PriceSource` codes, and half of ask
        minus bid, NaN where the price is not a middle.

    Raises:
        ValueError: the columns differ in length.
    """
    _, last, bid, ask = columns_of_equal_length(
        strike_inr=strike_inr, last_inr=legs.last_inr, bid_inr=legs.bid_inr, ask_inr=legs.ask_inr
    )
    quoted = (bid > 0) & (ask >= bid) & np.isfinite(ask)
    traded = (last > 0) & np.isfinite(last)
    price = np.where(quoted, 0.5 * (bid + ask), np.where(traded, last, np.nan))
    source = np.where(quoted, PriceSource.MID, np.where(traded, PriceSource.LAST, PriceSource.NONE)).astype(np.int8)
    half_spread = np.where(quoted, 0.5 * (ask - bid), np.nan)
    return price, source, half_spread


def _side(price: Floats, source: Codes, vol: Floats, status: Codes, greeks: Greeks, rows: slice) -> LegAnalytics:
    """Cut one side out of the columns that hold both."""
    return LegAnalytics(
        price_inr=price,
        price_source=source,
        implied_vol=vol[rows],
        status=status[rows],
        delta=greeks.delta[rows],
        gamma_per_inr=greeks.gamma_per_inr[rows],
        theta_inr_per_day=greeks.theta_inr_per_day[rows],
        vega_inr_per_vol_point=greeks.vega_inr_per_vol_point[rows],
        rho_inr_per_rate_point=greeks.rho_inr_per_rate_point[rows],
    )


def _summary(
    strike: Floats, call: LegColumns, put: LegColumns, calls: LegAnalytics, puts: LegAnalytics, spot_inr: float
) -> ExpirySummary:
    """Gather the figures over all strikes."""
    _, call_oi, put_oi, call_volume, put_volume = columns_of_equal_length(
        strike_inr=strike,
        call_open_interest_units=call.open_interest_units,
        put_open_interest_units=put.open_interest_units,
        call_volume_units=call.volume_units,
        put_volume_units=put.volume_units,
    )
    atm = _atm_row(strike, spot_inr)
    return ExpirySummary(
        atm_strike_inr=math.nan if atm is None else float(strike[atm]),
        atm_implied_vol=math.nan if atm is None else float(0.5 * (calls.implied_vol[atm] + puts.implied_vol[atm])),
        straddle_inr=math.nan if atm is None else float(calls.price_inr[atm] + puts.price_inr[atm]),
        pcr_open_interest=put_call_ratio(put_oi, call_oi),
        pcr_volume=put_call_ratio(put_volume, call_volume),
        max_pain_inr=max_pain(strike, call_oi, put_oi),
        call_open_interest_units=sum_of_known(call_oi),
        put_open_interest_units=sum_of_known(put_oi),
        call_volume_units=sum_of_known(call_volume),
        put_volume_units=sum_of_known(put_volume),
    )


def _atm_row(strike: Floats, spot_inr: float) -> int | None:
    """Find the row of the strike nearest to spot, the lower of two; none without strikes or without spot."""
    if not math.isfinite(spot_inr) or not np.isfinite(strike).any():
        return None
    distance = np.abs(strike - spot_inr)
    return int(np.lexsort((strike, distance))[0])
