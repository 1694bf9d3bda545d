"""Recordings, row by row: tables as Parquet or CSV, and NSE's option-chain JSON; see docs/recordings.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.replay.rows import SYMBOLS, index_code, parse_expiry, parse_instant
from optrading.imports.rows import Leg, Outcome, RowError, not_negative, number, whole_positive
from optrading.market.clock import trading_date
from optrading.market.codec import from_micros
from optrading.market.indices import lot_size

RECORDED_COLUMNS = frozenset({"timestamp", "symbol", "expiry", "strike", "option_type", "spot", "ltp", "volume", "oi"})

_SIDES = {"CE": False, "PE": True}
_ROUNDING_UNITS = 1e-6
_NAN = float("nan")


def read_recorded(line: int, row: Mapping[str, str], lot: int | None) -> Outcome:
    """Read a row of a recorded table.

    Raises:
        RowError: It cannot be a leg.
    """
    instant = _instant(row["timestamp"].strip(), ("%Y%m%d%H%M", "%Y%m%d%H%M%S"), "YYYYMMDDHHMM or YYYYMMDDHHMMSS")
    return _leg(
        line,
        row["symbol"],
        instant,
        row["expiry"].strip(),
        row["option_type"].strip().upper(),
        {name: number(row, name) for name in ("strike", "spot", "ltp", "bid", "ask", "volume", "oi", "oi_chg")},
        lot,
    )


def read_nse_json(content: bytes, lot: int | None) -> Iterator[tuple[int, str, Outcome | RowError]]:
    """Yield number, text and outcome of each leg of NSE's option-chain JSON, or a list of such answers.

    Raises:
        FeedError: It is no JSON, or JSON of another shape.
    """
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FeedError(f"the JSON is cut short or damaged ({error})") from None
    line = 0
    for snapshot in document if isinstance(document, list) else [document]:
        records = snapshot.get("records") if isinstance(snapshot, dict) else None
        if not isinstance(records, dict) or not isinstance(records.get("data"), list):
            raise FeedError("the JSON has another shape; needed: NSE's option chain, or a list of them")
        for row in records["data"]:
            for side in _SIDES:
                if isinstance(row, dict) and side in row:
                    line += 1
                    yield line, json.dumps(row[side])[:400], _json_leg(line, records, row, side, lot)


def _json_leg(
    line: int, records: Mapping[str, object], row: Mapping[str, object], side: str, lot: int | None
) -> Outcome | RowError:
    leg = row[side]
    if not isinstance(leg, dict):
        return RowError(f"{side} is no object")
    try:
        texts = {name: "" if leg.get(name) is None else str(leg[name]) for name in leg}
        values = {
            "strike": number({"strikePrice": str(row.get("strikePrice", ""))}, "strikePrice"),
            "spot": number({"underlyingValue": str(records.get("underlyingValue", ""))}, "underlyingValue"),
            "ltp": number(texts, "lastPrice"),
            "bid": number(texts, "bidprice"),
            "ask": number(texts, "askPrice"),
            "volume": number(texts, "totalTradedVolume"),
            "oi": number(texts, "openInterest"),
            "oi_chg": number(texts, "changeinOpenInterest"),
        }
        instant = _instant(str(records.get("timestamp")), ("%d-%b-%Y %H:%M:%S",), "a time such as 05-Aug-2025 13:59:23")
        return _leg(line, texts.get("underlying", ""), instant, str(row.get("expiryDate", "")), side, values, lot)
    except RowError as error:
        return error


def _leg(
    line: int, symbol: str, instant: datetime, expiry: str, side: str, values: Mapping[str, float], lot: int | None
) -> Leg:
    if side not in _SIDES:
        raise RowError(f"option type is {side!r}; allowed: CE, PE")
    try:
        index = SYMBOLS[index_code(symbol)]
        expiry_day = date.fromordinal(parse_expiry(expiry))
    except FeedError as error:
        raise RowError(str(error)) from None
    units = lot or lot_size(index, trading_date(instant))
    if not units:
        raise RowError(f"the lot size of {index} on {trading_date(instant)} is not known; give --lot-size")
    prices = {name: not_negative(values[name], name) or _NAN for name in ("spot", "ltp", "bid", "ask")}
    return Leg(
        line=line,
        index=index,
        event_time=instant,
        expiry=expiry_day,
        strike_inr=whole_positive(values["strike"], "strike"),
        is_put=_SIDES[side],
        lot_size=units,
        spot_inr=prices["spot"],
        last_inr=prices["ltp"],
        bid_inr=prices["bid"],
        ask_inr=prices["ask"],
        volume_units=_units(not_negative(values["volume"], "volume"), units),
        open_interest_units=_units(not_negative(values["oi"], "oi"), units),
        open_interest_change_units=_units(values["oi_chg"], units),
    )


def _units(contracts: float, lot: int) -> float:
    """Return contracts as units: whole ones, though contracts come as rounded fractions."""
    units = contracts * lot
    if units != units:  # noqa: PLR0124  # NaN
        return units
    return float(round(units)) if abs(units - round(units)) <= _ROUNDING_UNITS else units


def _instant(text: str, formats: tuple[str, ...], allowed: str) -> datetime:
    try:
        return from_micros(parse_instant(text, formats, f"{allowed}, Indian time")).astimezone(UTC)
    except FeedError as error:
        raise RowError(str(error)) from None
