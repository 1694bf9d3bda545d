"""Goldens on recorded markets; the files stay outside of the repository."""

import json
import os
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optrading.analytics.kernels.arrays import Floats
from optrading.analytics.kernels.black76 import price_and_greeks
from optrading.analytics.kernels.chain import analyse_expiry
from optrading.analytics.kernels.forward import ForwardSource
from optrading.analytics.kernels.status import LegStatus

from .columns import Side

REPOSITORY = Path(__file__).resolve().parents[4]
FOLDER = Path(os.environ.get("OPTRADING_REAL_DATA") or REPOSITORY.parent / "shared" / "data")


@pytest.fixture
def real_json() -> Callable[[str], Any]:
    """Read a recorded file, or skip the test with the reason."""

    def read(name: str) -> Any:
        path = FOLDER / name
        if not path.is_file():
            pytest.skip(f"no real data: {name} is not in OPTRADING_REAL_DATA (default ../shared/data)")
        return json.loads(path.read_text())

    return read


def column(rows: list[dict[str, Any]], *keys: str) -> Floats:
    """Read one number per row; what is absent is NaN."""

    def dig(row: dict[str, Any]) -> float:
        value: Any = row
        for key in keys:
            value = value.get(key, {})
        return float(value) if isinstance(value, int | float) else float("nan")

    return np.array([dig(row) for row in rows])


def nse_rows(snapshot: dict[str, Any], expiry: str) -> list[dict[str, Any]]:
    """Take one expiry of NSE's option-chain JSON, by strike."""
    rows = (row for row in snapshot["records"]["data"] if row["expiryDate"] == expiry)
    return sorted(rows, key=lambda row: row["strikePrice"])


def nse_side(rows: list[dict[str, Any]], key: str, lot_size: int) -> Side:
    """Read calls (CE) or puts (PE); NSE counts contracts."""
    return Side(
        column(rows, key, "lastPrice"),
        column(rows, key, "bidprice"),
        column(rows, key, "askPrice"),
        column(rows, key, "totalTradedVolume") * lot_size,
        column(rows, key, "openInterest") * lot_size,
    )


def test_open_interest_pcr_and_max_pain_of_nifty_equal_the_exchanges_own_totals(
    real_json: Callable[[str], Any],
) -> None:
    rows = nse_rows(real_json("nse_option_chain/nifty_20250805.json"), "07-Aug-2025")
    result = analyse_expiry(
        column(rows, "strikePrice"),
        nse_side(rows, "CE", lot_size=75),
        nse_side(rows, "PE", lot_size=75),
        24_623.45,
        datetime(2025, 8, 5, 8, 29, 23, tzinfo=UTC),
        date(2025, 8, 7),
        0.065,
    )
    assert result.summary.call_open_interest_units == 2_635_468 * 75
    assert result.summary.put_open_interest_units == 1_734_647 * 75
    assert round(result.summary.pcr_open_interest, 4) == 0.6582
    assert result.summary.max_pain_inr == 24_650
    assert result.summary.atm_strike_inr == 24_600
    assert result.forward.source is ForwardSource.PARITY
    assert result.forward.residual_inr < 1


def test_quotes_of_nifty_carry_smoothly_over_the_expiries(real_json: Callable[[str], Any]) -> None:
    snapshot, spot = real_json("nse_option_chain/nifty_20250805.json"), 24_623.45
    now, carry = datetime(2025, 8, 5, 8, 29, 23, tzinfo=UTC), []
    for expiry in (date(2025, 8, 14), date(2025, 8, 28), date(2025, 9, 30), date(2025, 12, 30)):
        rows = nse_rows(snapshot, expiry.strftime("%d-%b-%Y"))
        sides = (nse_side(rows, key, lot_size=75) for key in ("CE", "PE"))
        result = analyse_expiry(column(rows, "strikePrice"), *sides, spot, now, expiry, 0.065)
        assert result.forward.source is ForwardSource.PARITY
        carry.append(np.log(result.forward.forward_inr / spot) / result.years)
    # dividends weigh on the near months; no expiry stands out
    assert carry == sorted(carry)
    assert 0.02 < carry[0] < carry[-1] < 0.065


def broker_chain(recorded: dict[str, Any]) -> tuple[list[dict[str, Any]], Floats]:
    """Give rows and strikes of a broker's published chain, by strike."""
    rows = sorted(recorded["data"], key=lambda row: row["strike_price"])
    return rows, column(rows, "strike_price")


# The file is the close of Friday, 21-Jun-2024: six days before 15:30 IST of the expiry.
BROKER_EVENT_TIME, BROKER_EXPIRY = datetime(2024, 6, 27, 10, 0, tzinfo=UTC) - timedelta(days=6), date(2024, 6, 27)


@pytest.mark.parametrize(("key", "is_call"), [("call_options", True), ("put_options", False)])
def test_greeks_follow_the_convention_of_brokers(real_json: Callable[[str], Any], key: str, is_call: bool) -> None:
    rows, strike = broker_chain(real_json("broker_greeks/nifty_20240624.json"))
    sides = []
    for each in ("call_options", "put_options"):
        names = ("ltp", "bid_price", "ask_price", "volume", "oi")
        sides.append(Side(*(column(rows, each, "market_data", name) for name in names)))
    spot = rows[0]["underlying_spot_price"]
    # brokers discount by nothing
    result = analyse_expiry(strike, *sides, spot, BROKER_EVENT_TIME, BROKER_EXPIRY, 0.0)
    published = {name: column(rows, key, "option_greeks", name) for name in ("iv", "delta", "gamma", "theta", "vega")}
    near = (published["iv"] > 0) & (np.abs(strike - spot) < 1_500)
    assert near.sum() > 30

    ours = price_and_greeks(result.forward.forward_inr, strike, published["iv"] / 100, result.years, 0.0, is_call)
    np.testing.assert_allclose(ours.delta[near], published["delta"][near], atol=0.004)
    np.testing.assert_allclose(ours.gamma_per_inr[near], published["gamma"][near], atol=0.0001)
    np.testing.assert_allclose(ours.theta_inr_per_day[near], published["theta"][near], atol=0.1)
    np.testing.assert_allclose(ours.vega_inr_per_vol_point[near], published["vega"][near], atol=0.1)

    legs = result.call if is_call else result.put
    at_the_money = near & (np.abs(strike - spot) < 400)
    assert (legs.status[at_the_money] == LegStatus.OK).all()
    difference = legs.implied_vol[at_the_money] * 100 - published["iv"][at_the_money]
    # in points; single legs differ more, since the broker solved on last prices
    assert np.median(np.abs(difference)) < 0.15
