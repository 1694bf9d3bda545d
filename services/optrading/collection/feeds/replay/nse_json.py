"""Reads NSE's option-chain JSON: one snapshot as the exchange's site answers it, or a list of such snapshots."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.replay.rows import Rows, index_code, parse_expiry, parse_instant

_SHAPE = (
    "needed: NSE's option chain, {records: {timestamp, underlyingValue, data: [{strikePrice, expiryDate, CE, PE}]}}, "
    "or a list of them"
)
_NEEDED_IN_LEG = ("underlying", "lastPrice", "openInterest", "totalTradedVolume")


def read_nse_json(content: bytes) -> Rows:
    """Read the bytes of a JSON file.

    A price, bid or ask of 0 means that there is none. Open interest and volume are contracts, even fractional ones.

    Raises:
        FeedError: It is no JSON, or JSON of another shape.
    """
    try:
        document = json.loads(content)
    # Deep nesting ends in RecursionError, bytes that are no text in UnicodeDecodeError (a ValueError).
    except (ValueError, RecursionError) as error:
        raise FeedError(f"the JSON is cut short or damaged ({error})") from None
    snapshots = document if isinstance(document, list) else [document]
    legs = [leg for snapshot in snapshots for leg in _legs(snapshot)]
    if not legs:
        raise FeedError("the recording has no rows")
    # Every column fits into float64 exactly: microseconds of our century stay below 2^53.
    columns = np.array(legs, dtype=np.float64).T.copy()
    rows = Rows(
        index_code=columns[0].astype(np.int64),
        event_micros=columns[1].astype(np.int64),
        expiry_ordinal=columns[2].astype(np.int64),
        strike_inr=columns[3],
        is_put=columns[4].astype(np.bool_),
        spot_inr=columns[5],
        last_inr=columns[6],
        bid_inr=columns[7],
        ask_inr=columns[8],
        volume_contracts=columns[9],
        open_interest_contracts=columns[10],
        open_interest_change_contracts=columns[11],
    )
    rows.check()
    return rows


def _legs(snapshot: object) -> Iterator[tuple[float, ...]]:
    """Yield the legs of one snapshot in the order of the columns of `Rows`."""
    records = _member(snapshot, "records", dict)
    timestamp = _member(records, "timestamp", str)
    event_micros = parse_instant(timestamp, ("%d-%b-%Y %H:%M:%S",), "a time such as 05-Aug-2025 13:59:23, Indian time")
    spot_inr = _number(records, "underlyingValue")
    for row in _member(records, "data", list):
        expiry = parse_expiry(_member(row, "expiryDate", str))
        strike_inr = _number(row, "strikePrice")
        for is_put, side in enumerate(("CE", "PE")):
            if side not in row:
                continue
            leg = _member(row, side, dict)
            missing = [key for key in _NEEDED_IN_LEG if key not in leg]
            if missing:
                raise FeedError(f"{side} of {row['expiryDate']} {strike_inr:g} has no {', '.join(missing)}; {_SHAPE}")
            yield (
                index_code(_member(leg, "underlying", str)),
                event_micros,
                expiry,
                strike_inr,
                is_put,
                spot_inr,
                _number(leg, "lastPrice"),
                _number(leg, "bidprice"),
                _number(leg, "askPrice"),
                _number(leg, "totalTradedVolume"),
                _number(leg, "openInterest"),
                _number(leg, "changeinOpenInterest"),
            )


def _member(parent: object, key: str, kind: type) -> Any:
    if not isinstance(parent, dict) or not isinstance(parent.get(key), kind):
        raise FeedError(f"the JSON has another shape: no {key} where it should be; {_SHAPE}")
    return parent[key]


def _number(parent: Mapping[str, object], key: str) -> float:
    value = parent.get(key)
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FeedError(f"the JSON has another shape: {key} is {value!r}, not a number; {_SHAPE}")
    try:
        return float(value)
    except OverflowError:
        raise FeedError(f"the JSON has a {key} beyond all numbers; {_SHAPE}") from None
