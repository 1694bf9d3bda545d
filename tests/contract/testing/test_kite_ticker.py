"""The broker's WebSocket: genuine frames, read by Kite's own parser, and faults by command."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import pytest
from kiteconnect import KiteTicker
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedError, ConnectionClosedOK, InvalidStatus

from optrading.collection.feeds.replay import open_recording
from optrading.market.chain import Chain
from optrading.testing.kite import ChainTape, FaultKind, KiteBroker, Limits, RecordedTape
from optrading.testing.kite.instruments import INDEX_TOKENS
from optrading.testing.recordings import synthetic_chains
from tests.chains import NEXT_WEEK, THIS_WEEK, small_chain
from tests.contract.testing.conftest import UNLIMITED, Played

NIFTY = INDEX_TOKENS["NIFTY"][0]
PARSER = KiteTicker("key", "token")
WAIT_S = 20.0


@asynccontextmanager
async def ticker(broker: KiteBroker, access_token: str = "") -> AsyncIterator[ClientConnection]:
    query = {"api_key": broker.account.api_key, "access_token": access_token or broker.account.new_access_token()}
    async with connect(f"{broker.ticker_url}?{urlencode(query)}", ping_interval=None, close_timeout=0.2) as socket:
        yield socket


async def subscribe(socket: ClientConnection, tokens: list[int], mode: str = "full") -> None:
    await socket.send(json.dumps({"a": "subscribe", "v": tokens}))
    await socket.send(json.dumps({"a": "mode", "v": [mode, tokens]}))


async def ticks(socket: ClientConnection, mode: str = "full") -> list[dict]:
    """Return the ticks of the next message that has any in this mode."""
    async with asyncio.timeout(WAIT_S):
        while True:
            message = await socket.recv()
            if isinstance(message, bytes) and len(message) > 1:
                found = [tick for tick in PARSER._parse_binary(message) if tick["mode"] == mode]
                if found:
                    return found


async def heard(socket: ClientConnection, seconds: float) -> list[str | bytes]:
    """Return what comes within so many seconds."""
    messages = []
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            async for message in socket:
                messages.append(message)
    return messages


def token(broker: KiteBroker, strike: float, kind: str = "CE", expiry=THIS_WEEK) -> int:
    return broker.instruments[broker.instruments.list_contract("NIFTY", expiry, strike, kind, 65)].token


def all_tokens(broker: KiteBroker) -> list[int]:
    return [broker.instruments[row].token for row in range(len(broker.instruments))]


async def test_a_client_gets_the_present_and_then_what_changes(played: Played) -> None:
    broker = played.broker
    call, put = token(broker, 24_900.0), token(broker, 24_900.0, "PE")
    async with ticker(broker) as socket:
        await subscribe(socket, [call, put, NIFTY])
        present = {tick["instrument_token"]: tick for tick in await ticks(socket)}
        assert set(present) == {call, put, NIFTY}
        assert present[NIFTY]["last_price"] == 24951.5
        await broker.advance_to(1)
        later = {tick["instrument_token"]: tick for tick in await ticks(socket)}
        assert set(later) == {call, put, NIFTY}
        legs = played.chains[1].expiries[0].call
        assert later[call]["last_price"] == pytest.approx(legs.last_inr[0], abs=0.005)
        assert later[call]["exchange_timestamp"] == datetime.fromtimestamp(broker.instant.timestamp())


async def test_what_does_not_change_does_not_tick() -> None:
    chains = [small_chain(minute=0), small_chain(minute=1)]
    second = replace(chains[1], expiries=(chains[1].expiries[0], chains[0].expiries[1]))
    async with KiteBroker(ChainTape([chains[0], second]), heartbeat_s=30.0) as broker, ticker(broker) as socket:
        near, far = token(broker, 24_900.0), token(broker, 24_900.0, expiry=NEXT_WEEK)
        await subscribe(socket, [near, far])
        assert len(await ticks(socket)) == 2
        await broker.advance_to(1)
        assert [tick["instrument_token"] for tick in await ticks(socket)] == [near]


@pytest.mark.parametrize("mode", ["ltp", "quote", "full"])
async def test_every_mode_has_its_own_packets(played: Played, mode: str) -> None:
    async with ticker(played.broker) as socket:
        await subscribe(socket, [token(played.broker, 24_900.0), NIFTY], mode)
        assert {tick["mode"] for tick in await ticks(socket, mode)} == {mode}


async def test_who_unsubscribes_gets_no_more(played: Played) -> None:
    one, other = token(played.broker, 24_900.0), token(played.broker, 24_950.0)
    async with ticker(played.broker) as socket:
        await subscribe(socket, [one, other])
        await ticks(socket)
        await socket.send(json.dumps({"a": "unsubscribe", "v": [one]}))
        async with asyncio.timeout(WAIT_S):
            await played.broker.until_clients(lambda broker: broker.subscribed_tokens == {other})
        await played.broker.advance_to(1)
        assert [tick["instrument_token"] for tick in await ticks(socket)] == [other]


async def test_a_whole_day_comes_through_as_it_was_recorded() -> None:
    chains = synthetic_chains(index=["NIFTY", "SENSEX"], minutes=4, strikes=5)
    await assert_plays(KiteBroker(ChainTape(chains), limits=UNLIMITED, packets_per_frame=7), list(chains))


async def test_the_recorded_day_comes_through_under_its_real_tokens(real_data: Path) -> None:
    recording = open_recording(real_data / "intraday_nifty" / "option_chain_20260818.parquet")
    tape = RecordedTape(recording)
    broker = KiteBroker(tape, dump=real_data / "kite_instruments" / "instruments_full.csv", limits=UNLIMITED)
    chains = [chain for number in range(12) for chain in tape.chains(number)]
    await assert_plays(broker, chains, name="NIFTY")
    made_up = [broker.instruments[row] for row in range(39_942, len(broker.instruments))]
    assert made_up == []  # every recorded leg has a token of the real dump


async def assert_plays(broker: KiteBroker, chains: list[Chain], name: str = "") -> None:
    """Play all of `chains`; what Kite's own parser reads must be what they hold, instant by instant."""
    values: dict[int, dict] = {}
    instants = sorted({chain.event_time for chain in chains})
    async with broker, ticker(broker) as socket:
        table = broker.instruments
        wanted = [table[r].token for r in range(len(table)) if name in ("", table[r].name)][:3000]
        await subscribe(socket, wanted)
        while len(values) < len(wanted):
            values |= {tick["instrument_token"]: tick for tick in await ticks(socket)}
        for number, instant in enumerate(instants):
            await broker.advance_to(number)
            async with asyncio.timeout(WAIT_S):
                await until_received(socket, values, broker)
            for chain in (each for each in chains if each.event_time == instant):
                assert_equal(chain, values, broker)


async def until_received(socket: ClientConnection, values: dict[int, dict], broker: KiteBroker) -> None:
    """Read until the client has what the broker has, token by token."""
    rows = np.array([broker.instruments.row_of_token(each) for each in values])
    newest = dict(zip(values, broker.market.values(rows)["exchange_s"].tolist(), strict=True))
    while any(values[each]["exchange_timestamp"].timestamp() != second for each, second in newest.items()):
        values |= {tick["instrument_token"]: tick for tick in await ticks(socket)}


def assert_equal(chain: Chain, values: dict[int, dict], broker: KiteBroker) -> None:
    assert values[INDEX_TOKENS[chain.index][0]]["last_price"] == round(chain.spot_inr * 100) / 100
    for expiry in chain.expiries:
        for kind, legs in (("CE", expiry.call), ("PE", expiry.put)):
            for row in np.flatnonzero(legs.known()):
                contract = (chain.index, expiry.expiry, float(expiry.strike_inr[row]), kind, 0)
                tick = values[broker.instruments[broker.instruments.list_contract(*contract)].token]
                best = [tick["depth"][side][0]["price"] for side in ("buy", "sell")]
                seen = [tick["last_price"], *best, tick["volume_traded"], tick["oi"]]
                recorded = np.nan_to_num([column[row] for column in legs.columns()[:5]])
                assert seen == pytest.approx(recorded.tolist(), abs=0.0051)


async def test_a_wrong_session_is_refused_with_403(played: Played) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with ticker(played.broker, "wrong"):
            pass
    assert refused.value.response.status_code == 403
    assert played.broker.ticker.refused == 1


async def test_limits_are_those_of_the_real_broker() -> None:
    limits = Limits(connections=1, tokens=2)
    async with KiteBroker(ChainTape([small_chain()]), limits=limits, heartbeat_s=30.0) as broker:
        async with ticker(broker) as socket:
            await socket.send(json.dumps({"a": "subscribe", "v": all_tokens(broker)}))
            async with asyncio.timeout(WAIT_S):
                complaint = json.loads(await socket.recv())
            assert complaint == {"type": "error", "data": "at most 2 instruments per connection"}
            assert len(broker.subscribed_tokens) == 2
            with pytest.raises(InvalidStatus) as refused:
                async with ticker(broker):
                    pass
            assert refused.value.response.status_code == 429
        assert (Limits().connections, Limits().tokens) == (3, 3000)


@pytest.mark.parametrize("message", ["no json", '{"a": "buy", "v": []}', '{"a": "mode", "v": ["all", [1]]}', "[]"])
async def test_a_message_that_cannot_be_understood_is_answered_with_an_error(played: Played, message: str) -> None:
    async with ticker(played.broker) as socket, asyncio.timeout(WAIT_S):
        await socket.send(message)
        assert json.loads(await socket.recv())["type"] == "error"


async def test_heartbeats_of_one_byte_keep_a_silent_connection_awake() -> None:
    async with KiteBroker(ChainTape([small_chain()]), heartbeat_s=0.01) as broker, ticker(broker) as socket:
        async with asyncio.timeout(WAIT_S):
            assert [await socket.recv() for _ in range(3)] == [b"\x00"] * 3


async def test_a_dropped_connection_ends_with_or_without_a_word(played: Played) -> None:
    for orderly, error in ((True, ConnectionClosedOK), (False, ConnectionClosedError)):
        async with ticker(played.broker) as socket:
            await subscribe(socket, [NIFTY])
            await ticks(socket)
            record = played.broker.faults.drop(0, orderly=orderly)
            with pytest.raises(error):
                async with asyncio.timeout(WAIT_S):
                    await socket.recv()
            assert record.details == {"connections": 1, "tokens": [NIFTY], "orderly": orderly}
            assert record.ended_at == record.began_at


async def test_a_half_open_connection_neither_speaks_nor_answers_until_it_is_mended() -> None:
    async with KiteBroker(ChainTape([small_chain()]), heartbeat_s=0.01) as broker, ticker(broker) as socket:
        await subscribe(socket, [NIFTY])
        await ticks(socket)
        broker.faults.half_open()
        pong = await socket.ping()
        # What was on its way, not the fifty heartbeats of half a second.
        assert len(await heard(socket, 0.5)) <= 5
        assert not pong.done()
        broker.faults.mend()
        with pytest.raises(ConnectionClosedError):
            await heard(socket, WAIT_S)
        pong.cancel()
        assert broker.faults.records[-1].ended_at is not None


async def test_stale_tokens_tick_again_with_what_they_missed() -> None:
    first, second = small_chain(minute=0), small_chain(minute=1)
    unchanged = replace(second, event_time=small_chain(minute=2).event_time)
    async with KiteBroker(ChainTape([first, second, unchanged]), heartbeat_s=30.0) as broker, ticker(broker) as socket:
        call, put = token(broker, 24_900.0), token(broker, 24_900.0, "PE")
        await subscribe(socket, [call, put])
        await ticks(socket)
        broker.faults.stale([call])
        await broker.advance_to(1)
        assert [tick["instrument_token"] for tick in await ticks(socket)] == [put]
        broker.faults.mend()
        await broker.advance_to(2)
        assert [tick["instrument_token"] for tick in await ticks(socket)] == [call]


async def test_revoked_sessions_are_cut_off_and_kept_out_until_somebody_logs_in(played: Played) -> None:
    broker = played.broker
    access_token = broker.account.new_access_token()
    async with ticker(broker, access_token) as socket:
        broker.faults.revoke()
        with pytest.raises(ConnectionClosedError):
            async with asyncio.timeout(WAIT_S):
                await socket.recv()
    with pytest.raises(InvalidStatus):
        async with ticker(broker, access_token):
            pass
    async with ticker(broker):  # a session of its own
        pass


async def test_duplicates_reordered_and_slow_messages_and_garbage(played: Played) -> None:
    broker = played.broker
    async with ticker(broker) as socket:
        await subscribe(socket, [NIFTY])
        await ticks(socket)
        broker.faults.duplicate()
        await broker.advance_to(1)
        assert await ticks(socket) == await ticks(socket)
        broker.faults.mend()
        broker.faults.reorder()
        await broker.advance_to(3)
        later, earlier = await ticks(socket), await ticks(socket)
        assert earlier[0]["exchange_timestamp"] < later[0]["exchange_timestamp"]
        broker.faults.garbage(seed=3)
        async with asyncio.timeout(WAIT_S):
            assert isinstance(await socket.recv(), bytes)
        broker.faults.slow(0.2)
        before = asyncio.get_running_loop().time()
        await broker.advance_to(4)
        assert asyncio.get_running_loop().time() - before >= 0.19
        assert [record.kind for record in broker.faults.records] == [
            FaultKind.DUPLICATE,
            FaultKind.REORDER,
            FaultKind.GARBAGE,
            FaultKind.SLOW,
        ]


async def test_another_process_commands_it_over_http(played: Played) -> None:
    broker = played.broker

    def command(path: str, *, post: bool = True) -> object:
        request = urllib.request.Request(f"{broker.rest_url}/broker/{path}", method="POST" if post else "GET")
        with urllib.request.urlopen(request, timeout=WAIT_S) as answer:
            return json.load(answer)

    async with ticker(broker) as socket:
        await subscribe(socket, [NIFTY])
        await ticks(socket)
        state = await asyncio.to_thread(command, "advance?to=2")
        assert (state["position"], state["connections"], state["tokens"]) == (2, 1, 1)
        for kind in FaultKind:
            if kind is not FaultKind.REVOKE:
                done = await asyncio.to_thread(command, f"faults/{kind}?delay_s=0.01&strikes=1&seed=2&tokens={NIFTY}")
                assert done["kind"] == kind
        assert (await asyncio.to_thread(command, "mend"))["position"] == 2
        records = await asyncio.to_thread(command, "faults", post=False)
        assert len(records) == len(FaultKind) - 1
        assert all(record["ended_at"] for record in records)
        assert (await asyncio.to_thread(command, "faults/revoke"))["kind"] == "revoke"
        for wrong in ("advance?to=99", "faults/earthquake", "faults/instruments?index=DAX"):
            with pytest.raises(urllib.error.HTTPError) as refused:
                await asyncio.to_thread(command, wrong)
            with refused.value as answer:
                assert answer.code == 400
