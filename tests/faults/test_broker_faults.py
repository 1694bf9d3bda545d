"""Random faults of a broker: every one that leaves something out is in the ledger, nothing is invented, all is mended.

The plan follows from a seed (`OPTRADING_SEED`); at full length (`make soak`) it has 200 faults.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from optrading.market.codec import from_timestamp
from optrading.market.v1 import gap_pb2
from optrading.testing.kite import FaultKind, FaultRecord, KiteBroker, SyntheticTape, plan_faults, play_faults
from tests.faults.kite_rig import SEED, SOAK, Rig, collecting, ticking, until
from tests.faults.legs import TapeOfLegs

FAULTS = 200 if SOAK else 11
HEARTBEAT_S = 1.0
SETTINGS = {
    "market_hours": "always",
    # Two heartbeats are what is allowed; with defaults a slow link has some more time.
    "kite_silence_s": HEARTBEAT_S * 1.75,
    "gap_after_s": HEARTBEAT_S * 1.5,
    "kite_longest_retry_s": 2.0,
    "kite_instrument_refresh_s": 5.0,
}
MENDED_S = 60.0
"""A client that does not come back within this is not coming back."""

EXPECTED = {
    FaultKind.DROP: {gap_pb2.GAP_CAUSE_DISCONNECT},
    FaultKind.HALF_OPEN: {gap_pb2.GAP_CAUSE_DISCONNECT},
    FaultKind.STALE: {gap_pb2.GAP_CAUSE_LATE, gap_pb2.GAP_CAUSE_DISCONNECT},
    FaultKind.REVOKE: {gap_pb2.GAP_CAUSE_SESSION_REFUSED},
    FaultKind.GARBAGE: {gap_pb2.GAP_CAUSE_FEED_ERROR},
}
"""What must be said of a fault. The others leave nothing out."""

UNREADABLE = {"noise", "cut short", "more packets announced than sent"}
"""Garbage of which nothing can be trusted. The rest has nothing to do with us, and nothing is missing."""


class Lag:
    """How late this process ran, at worst, within an interval: a busy machine is no failure of ours."""

    def __init__(self) -> None:
        self._late: list[tuple[datetime, float]] = []

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        watching = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watching.cancel()

    async def _watch(self) -> None:
        last = asyncio.get_running_loop().time()
        async for _ in ticking(0.02):
            now = asyncio.get_running_loop().time()
            self._late.append((datetime.now(UTC), now - last))
            last = now

    def worst_s(self, since: datetime, until: datetime) -> float:
        margin = timedelta(seconds=1)
        return sum(late for at, late in self._late if since <= at <= until + margin and late > 0.1)


@pytest.mark.timeout(3600 if SOAK else 400)
async def test_random_faults_leave_no_silent_gap_and_no_invented_tick(tmp_path: Path) -> None:
    tape = SyntheticTape(start=datetime.now(UTC), indices=["NIFTY", "SENSEX"], seed=SEED)
    lag = Lag()
    async with (
        KiteBroker(tape, heartbeat_s=HEARTBEAT_S) as broker,
        collecting(broker, tmp_path, **SETTINGS) as rig,
        lag.watched(),
    ):
        playing = asyncio.create_task(broker.play(1.0))
        begun_at = broker.instant
        await until(lambda: all_fresh(rig, begun_at), MENDED_S)

        async def pass_instants(count: int) -> None:
            await broker.until_position(broker.position + count)

        async def recovered(record: FaultRecord) -> None:
            mended_at = broker.instant
            await until(lambda: all_fresh(rig, mended_at), MENDED_S)
            await assert_noticed(rig, record, lag)

        plan = plan_faults(SEED, FAULTS, after=(1, 2), lasts=(2, 4))
        await play_faults(broker, plan, pass_instants=pass_instants, log_in=rig.log_in, recovered=recovered)
        playing.cancel()
        assert len(broker.faults.records) == FAULTS
        for index in broker.indices:
            legs = TapeOfLegs(
                chain for number in range(broker.position + 1) for chain in tape.chains(number) if chain.index == index
            )
            stored = await rig.stored(index)
            assert [line for chain in stored for line in legs.inventions(chain)] == []
            assert stored[-1].event_time > stored[0].event_time
            # Whatever began has ended: all is well again, and the ledger says so.
            await until(lambda index=index: no_gap_is_open(rig, index), MENDED_S)


def all_fresh(rig: Rig, instant: datetime) -> bool:
    """Tell whether every index has a chain of `instant` or later."""
    newest = [rig.newest(index) for index in rig.broker.indices]
    return all(chain is not None and chain.event_time > instant for chain in newest)


async def no_gap_is_open(rig: Rig, index: str) -> bool:
    return all(gap.HasField("end_time") for gap in await rig.gaps(index))


async def assert_noticed(rig: Rig, record: FaultRecord, lag: Lag) -> None:
    """Assert that the ledger has a fitting gap of each index concerned, within two heartbeats of the fault."""
    causes = EXPECTED.get(record.kind)
    if causes is None or not record.details.get("tokens", True):
        return
    if record.kind is FaultKind.STALE and record.details["tokens"] is not None:
        return  # single legs that do not trade look the same; their chains say how old they are
    if record.kind is FaultKind.GARBAGE and record.details["garbage"] not in UNREADABLE:
        return
    for index in concerned(rig.broker, record):
        found: list[gap_pb2.Gap] = []

        async def is_listed(index: str = index, found: list[gap_pb2.Gap] = found) -> bool:
            found[:] = [
                gap
                for gap in await rig.gaps(index)
                if gap.cause in causes and from_timestamp(gap.detected_time) >= record.began_at
            ]
            return bool(found)

        try:
            await until(is_listed, MENDED_S)
        except TimeoutError:
            listed = [str(gap) for gap in await rig.gaps(index)]
            pytest.fail(f"{record.kind} at {record.began_at} is not in the ledger of {index}: {listed[-3:]}")
        noticed = from_timestamp(found[0].detected_time)
        allowed_s = 2 * HEARTBEAT_S + 0.25 + lag.worst_s(record.began_at, noticed)
        assert (noticed - record.began_at).total_seconds() <= allowed_s, (record, found[0])


def concerned(broker: KiteBroker, record: FaultRecord) -> set[str]:
    """Return the indices of which something was left out."""
    tokens = record.details["tokens"]
    if tokens is None:
        return set(broker.indices)
    assert isinstance(tokens, list)
    rows = (broker.instruments.row_of_token(token) for token in tokens)
    return {broker.instruments[row].name for row in rows if row is not None}
