"""Writes recordings of the synthetic market in every format that the replay feed reads.

Also a command: `python -m optrading.testing.recordings day.parquet --index NIFTY --minutes 5 --seed 1`.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from optrading.collection.feeds.synthetic import SyntheticMarket
from optrading.market.chain import Chain, ExpiryChain, Floats, Legs
from optrading.market.clock import IST
from optrading.market.indices import INDICES

FORMATS: tuple[str, ...] = ("parquet", "csv", "json")
"""What `write_recording` writes; `csv` and `json` are gzipped when the path ends with .gz."""

DEFAULT_START = datetime(2026, 8, 17, 4, 0, tzinfo=UTC)
"""A Monday, 09:30 IST; NIFTY expires the next day."""


def synthetic_chains(
    *,
    index: str | Sequence[str] = "NIFTY",
    minutes: int = 5,
    seed: int = 1,
    start: datetime = DEFAULT_START,
    interval_s: int = 60,
    strikes: int | None = None,
) -> tuple[Chain, ...]:
    """Return the chains that a recording of the synthetic market holds, as the replay feed gives them.

    Args:
        index: Symbol, or several; at one instant in the order of `INDICES`.
        minutes: Number of instants, >= 1.
        seed: Which market.
        start: First instant, aware, whole seconds.
        interval_s: Time between instants, seconds, >= 1.
        strikes: Keep this many strikes on each side of the money; None keeps all.

    Returns:
        Chains in the order of time; `receive_time` equals `event_time`.
    """
    wanted = {index} if isinstance(index, str) else set(index)
    market = SyntheticMarket(seed)
    instants = [start + timedelta(seconds=interval_s * number) for number in range(minutes)]
    chains = (market.chain(s, instant, instant) for instant in instants for s in INDICES if s in wanted)
    return tuple(
        replace(chain, source="replay", expiries=tuple(_near(expiry, strikes) for expiry in chain.expiries))
        for chain in chains
    )


def write_recording(
    path: Path | str,
    *,
    index: str | Sequence[str] = "NIFTY",
    minutes: int = 5,
    seed: int = 1,
    format: str | None = None,
    start: datetime = DEFAULT_START,
    interval_s: int = 60,
    strikes: int | None = None,
) -> tuple[Chain, ...]:
    """Write a recording of the synthetic market, and return the chains it holds; see `synthetic_chains`.

    Args:
        path: File to write; its folder must exist.
        index: Symbol, or several.
        minutes: Number of instants, >= 1.
        seed: Which market.
        format: One of `FORMATS`; told by the extension of `path` unless given.
        start: First instant, aware, whole seconds.
        interval_s: Time between instants, seconds, >= 1.
        strikes: Keep this many strikes on each side of the money; None keeps all.

    Raises:
        ValueError: The format is unknown.
    """
    path = Path(path)
    chains = synthetic_chains(
        index=index, minutes=minutes, seed=seed, start=start, interval_s=interval_s, strikes=strikes
    )
    suffixes = [suffix.removeprefix(".") for suffix in path.suffixes]
    name = format or next((suffix for suffix in suffixes if suffix in FORMATS), "")
    if name == "parquet":
        content = _parquet(_table(chains))
    elif name == "csv":
        content = _csv(_table(chains))
    elif name == "json":
        content = json.dumps([_snapshot(chain) for chain in chains]).encode()
    else:
        raise ValueError(f"{path.name}: no known format ({name or path.suffix}); allowed: {', '.join(FORMATS)}")
    path.write_bytes(gzip.compress(content) if suffixes[-1:] == ["gz"] else content)
    return chains


def _near(expiry: ExpiryChain, strikes: int | None) -> ExpiryChain:
    return expiry if strikes is None else expiry.take(np.abs(expiry.atm_offset) <= strikes)


def _sides(expiry: ExpiryChain) -> tuple[tuple[str, Legs], tuple[str, Legs]]:
    return ("CE", expiry.call), ("PE", expiry.put)


def _table(chains: Iterable[Chain]) -> pa.Table:
    return pa.concat_tables(
        _legs_table(chain, expiry, side, legs)
        for chain in chains
        for expiry in chain.expiries
        for side, legs in _sides(expiry)
    )


def _legs_table(chain: Chain, expiry: ExpiryChain, side: str, legs: Legs) -> pa.Table:
    size = len(expiry.strike_inr)
    instant = chain.event_time.astimezone(IST)
    return pa.table(
        {
            "timestamp": [f"{instant:%Y%m%d%H%M}" if instant.second == 0 else f"{instant:%Y%m%d%H%M%S}"] * size,
            "symbol": [INDICES[chain.index].aliases[0]] * size,
            "expiry": [f"{expiry.expiry:%d-%b-%Y}"] * size,
            "strike": expiry.strike_inr,
            "option_type": [side] * size,
            "spot": np.full(size, chain.spot_inr),
            "ltp": _nullable(legs.last_inr),
            "bid": _nullable(legs.bid_inr),
            "ask": _nullable(legs.ask_inr),
            "volume": _nullable(legs.volume_units / expiry.lot_size),
            "oi": _nullable(legs.open_interest_units / expiry.lot_size),
            "oi_chg": _nullable(legs.open_interest_change_units / expiry.lot_size),
        }
    )


def _nullable(values: Floats) -> pa.Array:
    return pa.array(values, mask=np.isnan(values))


def _parquet(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, write_page_checksum=True)
    return buffer.getvalue()


def _csv(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pa.csv.write_csv(table, buffer)
    return buffer.getvalue()


def _snapshot(chain: Chain) -> dict[str, object]:
    """Return one chain in the shape of NSE's option-chain JSON, in which 0 stands for a price that is not there."""
    data = [
        {
            "strikePrice": strike,
            "expiryDate": f"{expiry.expiry:%d-%b-%Y}",
            **{side: _nse_leg(chain, expiry, legs, row) for side, legs in _sides(expiry)},
        }
        for expiry in chain.expiries
        for row, strike in enumerate(expiry.strike_inr.tolist())
    ]
    instant = chain.event_time.astimezone(IST)
    records = {"timestamp": f"{instant:%d-%b-%Y %H:%M:%S}", "underlyingValue": chain.spot_inr, "data": data}
    return {"records": records}


def _nse_leg(chain: Chain, expiry: ExpiryChain, legs: Legs, row: int) -> dict[str, object]:
    last, bid, ask, volume, interest, change = (float(values[row]) for values in legs.columns())
    return {
        "strikePrice": float(expiry.strike_inr[row]),
        "expiryDate": f"{expiry.expiry:%d-%b-%Y}",
        "underlying": chain.index,
        "lastPrice": 0 if math.isnan(last) else last,
        "bidprice": 0 if math.isnan(bid) else bid,
        "askPrice": 0 if math.isnan(ask) else ask,
        "totalTradedVolume": volume / expiry.lot_size,
        "openInterest": interest / expiry.lot_size,
        "changeinOpenInterest": change / expiry.lot_size,
        "underlyingValue": chain.spot_inr,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a recording as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m optrading.testing.recordings", description="Write a recording of the synthetic market."
    )
    parser.add_argument("path", type=Path, help="ends with .parquet, .csv, .csv.gz, .json or .json.gz")
    parser.add_argument(
        "--index", nargs="+", choices=tuple(INDICES), default=["NIFTY"], metavar="INDEX", help=", ".join(INDICES)
    )
    parser.add_argument("--minutes", type=int, default=5, help="number of instants (default 5)")
    parser.add_argument("--interval", type=int, default=60, help="seconds between instants (default 60)")
    parser.add_argument("--strikes", type=int, help="strikes on each side of the money (default all)")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    if chosen.minutes < 1 or chosen.interval < 1 or (chosen.strikes or 0) < 0:
        parser.error("--minutes and --interval are 1 or more, --strikes 0 or more")
    try:
        chains = write_recording(
            chosen.path,
            index=chosen.index,
            minutes=chosen.minutes,
            seed=chosen.seed,
            interval_s=chosen.interval,
            strikes=chosen.strikes,
        )
    except (ValueError, OSError) as error:
        parser.exit(1, f"{error}\n")
    print(f"{chosen.path}: {len(chains)} chains, {sum(chain.leg_count() for chain in chains)} legs")


if __name__ == "__main__":
    main()
