from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.collection.feeds.synthetic.listing import listed_expiries, strike_ladder
from optrading.collection.feeds.synthetic.underlyings import UNDERLYINGS
from optrading.market.buckets import BUCKETS, NEXT_MONTH, THIS_MONTH, THIS_WEEK, assign_buckets
from optrading.market.clock import IST, expiry_instant, trading_date
from optrading.market.indices import INDICES
from optrading.market.strikes import atm_row

INSTANTS = st.datetimes(datetime(2026, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))


def days(*texts: str) -> tuple[date, ...]:
    return tuple(date.fromisoformat(text) for text in texts)


@pytest.mark.parametrize(
    ("symbol", "at", "expected"),
    [
        ("NIFTY", "2026-08-18T10:00", days("2026-08-18", "2026-08-25", "2026-09-29")),
        ("NIFTY", "2026-08-26T10:00", days("2026-09-01", "2026-09-08", "2026-09-29", "2026-10-27")),
        ("SENSEX", "2026-08-18T10:00", days("2026-08-20", "2026-08-27", "2026-09-24")),
        ("BANKNIFTY", "2026-08-18T10:00", days("2026-08-25", "2026-09-29", "2026-10-27")),
        ("FINNIFTY", "2026-08-18T10:00", days("2026-08-25", "2026-09-29", "2026-10-27")),
        ("MIDCPNIFTY", "2026-08-18T10:00", days("2026-08-25", "2026-09-29", "2026-10-27")),
        ("BANKEX", "2026-08-18T10:00", days("2026-08-27", "2026-09-24", "2026-10-29")),
    ],
)
def test_expiries_are_those_that_the_exchanges_list(symbol: str, at: str, expected: tuple[date, ...]) -> None:
    assert listed_expiries(INDICES[symbol], datetime.fromisoformat(at).replace(tzinfo=IST)) == expected


def test_a_contract_is_delisted_the_moment_it_expires() -> None:
    close = datetime(2026, 8, 18, 15, 30, tzinfo=IST)
    before = listed_expiries(INDICES["NIFTY"], close - timedelta(microseconds=1))
    assert before[0] == date(2026, 8, 18)
    assert listed_expiries(INDICES["NIFTY"], close) == days("2026-08-25", "2026-09-01", "2026-09-29")


@given(instant=INSTANTS, symbol=st.sampled_from(sorted(INDICES)))
def test_at_any_time_what_is_listed_is_alive_and_fills_the_buckets(instant: datetime, symbol: str) -> None:
    index = INDICES[symbol]
    expiries = listed_expiries(index, instant)
    assert list(expiries) == sorted(set(expiries))
    assert 3 <= len(expiries) <= 4
    assert all(expiry_instant(expiry) > instant for expiry in expiries)
    buckets = assign_buckets(expiries, trading_date(instant))
    if index.lists_weeklies:
        assert set(buckets) == set(BUCKETS)
        assert (buckets[THIS_WEEK] - trading_date(instant)).days <= 7
    for bucket in (THIS_MONTH, NEXT_MONTH):
        month_end = buckets[bucket] + timedelta(days=7)
        assert month_end.month != buckets[bucket].month
        assert buckets[bucket].weekday() == (1 if index.exchange == "NSE" else 3)


@given(symbol=st.sampled_from(sorted(UNDERLYINGS)), ahead=st.integers(0, 100), drift=st.floats(0.8, 1.2))
def test_ladders_are_even_and_have_the_money_inside(symbol: str, ahead: int, drift: float) -> None:
    underlying = UNDERLYINGS[symbol]
    today = date(2026, 8, 18)
    spot = underlying.level_inr * drift
    strikes = strike_ladder(underlying, today + timedelta(days=ahead), today, spot)
    step = underlying.index.strike_step_inr if ahead <= 35 else underlying.far_step_inr
    assert (np.diff(strikes) == step).all()
    assert 60 <= len(strikes) <= 120
    assert (strikes % step == 0).all()
    row = atm_row(strikes, spot)
    assert 20 < row < len(strikes) - 20


def test_finnifty_has_wider_steps_further_out() -> None:
    underlying, today = UNDERLYINGS["FINNIFTY"], date(2026, 8, 18)
    near = strike_ladder(underlying, date(2026, 8, 25), today, 26_300.0)
    far = strike_ladder(underlying, date(2026, 9, 29), today, 26_300.0)
    assert (near[1] - near[0], far[1] - far[0]) == (50.0, 100.0)
