"""Recorded days of the exchange through the whole mesh: every value comes back, and the goldens come out."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from optrading.analytics.v1 import analytics_service_pb2 as analytics_pb
from optrading.cli.client import GatewayClient
from optrading.cli.status import read_status, replay_end
from optrading.market.chain import LEG_COLUMNS
from optrading.market.clock import IST
from optrading.market.codec import decode_chain
from optrading.storage.v1 import storage_service_pb2 as storage_pb
from optrading.testing.mesh import running_mesh

Leg = tuple[datetime, date, float, str]
Values = tuple[float, ...]


@asynccontextmanager
async def replayed(home: Path, recording: Path) -> AsyncIterator[GatewayClient]:
    """Yield a client once the recording has come through every part."""
    async with (
        running_mesh(home, feed="replay", recording=recording, speed="max") as mesh,
        GatewayClient(mesh.credentials) as client,
    ):
        async with asyncio.timeout(100):
            while not replay_end(await read_status(client)):  # noqa: ASYNC110  # it happens in other processes
                await asyncio.sleep(0.1)
        yield client


@pytest.mark.timeout(240)
async def test_every_value_of_an_intraday_recording_comes_back_from_storage(real_data: Path, tmp_path: Path) -> None:
    recording = real_data / "intraday_nifty" / "option_chain_20260818.parquet"
    got: dict[Leg, Values] = {}
    async with replayed(tmp_path, recording) as client:
        async for answer in client.stream(client.storage.ReadChains, storage_pb.ReadChainsRequest(index="NIFTY")):
            chain = decode_chain(answer.chain)
            for expiry in chain.expiries:
                for side, legs in (("CE", expiry.call), ("PE", expiry.put)):
                    columns = [getattr(legs, name).tolist() for name in LEG_COLUMNS]
                    for strike_inr, *values in zip(expiry.strike_inr.tolist(), *columns, strict=True):
                        if not all(map(math.isnan, values)):
                            key = (chain.event_time, expiry.expiry, strike_inr, side)
                            got[key] = (chain.spot_inr, *values)
    wanted = file_values(recording, lot_size=65)
    assert len(got) == len(wanted) == 153_990
    assert [key for key, values in wanted.items() if not same(got[key], values)] == []


@pytest.mark.timeout(240)
async def test_the_goldens_of_the_exchange_s_own_snapshot_come_out(real_data: Path, tmp_path: Path) -> None:
    async with replayed(tmp_path, real_data / "nse_option_chain" / "nifty_20250805.json") as client:
        request = analytics_pb.GetSummaryRequest(index="NIFTY", bucket="this_week")
        summary = await client.call(client.analytics.GetSummary, request)
    (expiry,) = summary.expiries
    assert (expiry.expiry, summary.spot_inr) == ("2025-08-07", 24_623.45)
    contracts = [units / expiry.lot_size for units in (expiry.call_open_interest_units, expiry.put_open_interest_units)]
    assert contracts == [2_635_468, 1_734_647]
    assert round(expiry.pcr_open_interest, 4) == 0.6582
    assert expiry.max_pain_inr == 24_650


def file_values(recording: Path, lot_size: int) -> dict[Leg, Values]:
    """Return spot and the six values of each row of the file, quantities in units."""
    rows = pq.read_table(recording, columns=["timestamp", "expiry", "strike", "option_type", "spot", "ltp"]).to_pylist()
    counts = pq.read_table(recording, columns=["volume", "oi", "oi_chg"]).to_pylist()
    days: dict[str, date] = {}
    times: dict[str, datetime] = {}
    values: dict[Leg, Values] = {}
    for row, count in zip(rows, counts, strict=True):
        text = row["timestamp"]
        if text not in times:
            times[text] = datetime.strptime(text, "%Y%m%d%H%M").replace(tzinfo=IST).astimezone(UTC)
        if row["expiry"] not in days:
            days[row["expiry"]] = datetime.strptime(row["expiry"], "%d-%b-%Y").date()
        units = [math.nan if value is None else value * lot_size for value in count.values()]
        last = math.nan if row["ltp"] is None else row["ltp"]
        key = (times[text], days[row["expiry"]], row["strike"], row["option_type"])
        values[key] = (row["spot"], last, math.nan, math.nan, *units)
    return values


def same(one: Values, other: Values) -> bool:
    return all(a == b or (math.isnan(a) and math.isnan(b)) for a, b in zip(one, other, strict=True))
