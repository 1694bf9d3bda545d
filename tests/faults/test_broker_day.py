"""A recorded day as Kite's frames through the WebSocket: what is stored equals what was recorded, leg by leg.

Kite's ticks carry last price, best bid and ask, volume and open interest, with prices and the index in whole paise
(halves to even), and no change of open interest. So much is compared, and the spot is compared in paise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from optrading.collection.feeds.replay import open_recording
from optrading.market.chain import Chain
from optrading.testing.kite import ChainTape, KiteBroker, RecordedTape, Tape
from optrading.testing.recordings import synthetic_chains
from tests.faults.kite_rig import SOAK, Rig, collecting, until
from tests.faults.legs import differences

WAIT_S = 60.0
"""For one instant, on a machine that has other things to do; usually a tenth of a second."""


@pytest.mark.timeout(900)
async def test_the_recorded_expiry_day_is_stored_as_it_was(real_data: Path, tmp_path: Path) -> None:
    recording = open_recording(real_data / "intraday_nifty" / "option_chain_20260818.parquet")
    dump = real_data / "kite_instruments" / "instruments_full.csv"
    await assert_stored_as_recorded(RecordedTape(recording), ["NIFTY"], tmp_path, dump=dump)


@pytest.mark.timeout(900)
async def test_a_day_of_two_exchanges_is_stored_as_it_was(tmp_path: Path) -> None:
    # Of the same shape as the recorded day, with bids and asks too, and every strike at every instant: a broker does
    # not forget a leg that a recording leaves out.
    chains = synthetic_chains(index=["NIFTY", "SENSEX"], minutes=288 if SOAK else 20)
    await assert_stored_as_recorded(ChainTape(chains), ["NIFTY", "SENSEX"], tmp_path)


async def assert_stored_as_recorded(
    tape: Tape, indices: Sequence[str], home: Path, *, dump: Path | None = None
) -> None:
    """Play all of `tape` and compare what is stored.

    The collector makes the chain of an instant when the first tick of the next one comes: each instant is played when
    the one before the last is collected. The last one is made when nothing more comes for a while.
    """
    instants = tape.count
    assert instants is not None
    async with (
        KiteBroker(tape, dump=dump) as broker,
        collecting(broker, home, market_hours="recorded", kite_silence_s=WAIT_S) as rig,
    ):
        for chain in tape.chains(0):  # subscriptions are made in pieces: it takes a moment until all of it is there
            await until(lambda chain=chain: shows(rig, chain), WAIT_S)
        for number in range(1, instants):
            await broker.advance_to(number)
            await until_collected(rig, tape, number - 1)
        await until_collected(rig, tape, instants - 1)
        for index in indices:
            stored = {chain.event_time: chain for chain in await rig.stored(index)}
            recorded = [chain for number in range(instants) for chain in tape.chains(number) if chain.index == index]
            assert sorted(stored) == [chain.event_time for chain in recorded]
            assert [line for chain in recorded for line in differences(stored[chain.event_time], chain)] == []
            assert [gap.detail for gap in await rig.gaps(index)] == []


def shows(rig: Rig, chain: Chain) -> bool:
    newest = rig.newest(chain.index)
    return newest is not None and differences(newest, chain) == []


async def until_collected(rig: Rig, tape: Tape, number: int) -> None:
    """Return when the collector shows instant `number` of every index."""
    instant = tape.instant(number)
    for index in rig.broker.indices:
        await until(lambda index=index: (newest := rig.newest(index)) and newest.event_time >= instant, WAIT_S)
