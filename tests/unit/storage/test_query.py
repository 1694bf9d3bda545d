from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optrading.common.errors import DataLoss, NotFound, ResourceExhausted
from optrading.market.buckets import BUCKETS
from optrading.market.chain import Chain, Position
from optrading.market.codec import to_micros
from optrading.market.quality import QualityFlag
from optrading.storage import query
from optrading.storage.planning import Span
from optrading.storage.query import Reader
from optrading.storage.selecting import Wanted
from optrading.storage.settings import StorageSettings
from optrading.storage.stores.columns import ADDED_COLUMNS, SCHEMA
from tests.chains import OPENING, small_chain
from tests.unit.storage.samples import EXPIRIES, STRIKES, bits, chains, open_kept

SETTINGS = StorageSettings(duckdb_threads=1, read_threads=2)
few_instants = st.integers(0, 5).map(lambda n: OPENING + timedelta(hours=9 * n))
instants_us = st.none() | few_instants.map(to_micros)


@st.composite
def wanteds(draw: st.DrawFn) -> Wanted:
    kind = draw(st.sampled_from(("all", "bucket", "expiry")))
    return Wanted(
        Span(draw(instants_us), draw(instants_us)),
        draw(st.sampled_from(BUCKETS)) if kind == "bucket" else "",
        draw(st.sampled_from(EXPIRIES)) if kind == "expiry" else None,
        tuple(draw(st.sets(st.sampled_from(STRIKES), max_size=2))),
    )


def naive(stored: Sequence[tuple[Position, Chain]], wanted: Wanted) -> list[tuple[object, ...]]:
    """What must be read, found by looping over everything."""
    shown = {chain.event_time: (position, chain) for position, chain in sorted(stored, key=lambda each: each[0])}
    answer = []
    for event_time in sorted(shown):
        if not wanted.span.has(to_micros(event_time)):
            continue
        position, chain = shown[event_time]
        if not wanted.everything:
            expiries = []
            for expiry in chain.expiries:
                if wanted.bucket and wanted.bucket not in expiry.buckets:
                    continue
                if wanted.expiry and wanted.expiry != expiry.expiry:
                    continue
                rows = [not wanted.strikes or strike in wanted.strikes for strike in expiry.strike_inr.tolist()]
                if any(rows):
                    expiries.append(expiry.take(np.array(rows, dtype=np.bool_)))
            if not expiries:
                continue
            chain = replace(chain, expiries=tuple(expiries))
        answer.append(bits(chain, position))
    return answer


EVERYTHING = Wanted(Span())


async def read(reader: Reader, state, wanted: Wanted = EVERYTHING) -> list[tuple[object, ...]]:
    history = state.history.of("NIFTY")
    return [each async for each in reader.read(history, wanted, lambda position, chain: bits(chain, position))]


@settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(chains(few_instants), min_size=1, max_size=8),
    st.sets(st.integers(0, 7)),
    st.lists(wanteds(), min_size=3, max_size=3),
)
def test_a_read_equals_a_loop_over_everything_however_it_is_kept(tmp_path_factory, some, rolls, questions):
    state = open_kept(tmp_path_factory.mktemp("state"))
    # Two epochs, as after a restart of the collector.
    stored = [(Position(7 + n // 4, n % 4 + 1), chain) for n, chain in enumerate(some)]

    async def ask_everything():
        async with Reader(state.directory, SETTINGS) as reader:
            for number, each in enumerate(stored):
                state.store([each])
                if number in rolls:
                    state.roll()
            for wanted in questions:
                assert await read(reader, state, wanted) == naive(stored, wanted)
            everything = naive(stored, Wanted(Span()))
            newest = await reader.latest(state.history.of("NIFTY"), None)
            assert bits(newest.chain, newest.position) == everything[-1]
            for before_us in {to_micros(chain.event_time) + 1 for _, chain in stored}:
                found = await reader.latest(state.history.of("NIFTY"), before_us)
                earlier = [row for row in everything if to_micros(row[2]) < before_us]
                assert bits(found.chain, found.position) == earlier[-1]
            with pytest.raises(NotFound, match="no chain at or before"):
                await reader.latest(state.history.of("NIFTY"), min(to_micros(c.event_time) for _, c in stored))

    asyncio.run(ask_everything())


@pytest.fixture
def state(tmp_path):
    kept = open_kept(tmp_path)
    kept.store([(Position(7, s), small_chain(minute=s)) for s in range(1, 31)])
    return kept


async def test_a_roll_in_the_middle_of_a_read_does_not_change_its_answer(state):
    async with Reader(state.directory, SETTINGS) as reader:
        before = await read(reader, state)
        answer = []
        async for each in reader.read(state.history.of("NIFTY"), Wanted(Span()), lambda p, c: bits(c, p)):
            if not answer:
                state.roll()
                state.store([(Position(7, 31), small_chain(minute=31))])
            answer.append(each)
        assert answer == before
        assert (await read(reader, state))[:-1] == before


async def test_a_read_that_is_left_early_lets_go_of_its_query(state):
    async with Reader(state.directory, SETTINGS) as reader:
        answers = reader.read(state.history.of("NIFTY"), Wanted(Span()), lambda p, _: p)
        assert await anext(answers) == Position(7, 1)
        await answers.aclose()
        assert len(await read(reader, state)) == 30


async def test_many_reads_at_once_get_each_their_own_answer(state):
    state.roll()
    state.store([(Position(7, s), small_chain(minute=s)) for s in range(31, 41)])
    async with Reader(state.directory, SETTINGS) as reader:
        spans = [Span(to_micros(OPENING) + 60_000_000 * n) for n in range(12)]
        answers = await asyncio.gather(*(read(reader, state, Wanted(span)) for span in spans))
    assert [len(answer) for answer in answers] == [40 - max(0, n - 1) for n in range(12)]


async def test_a_damaged_file_is_named_and_not_served_while_the_rest_is(state):
    state.roll()
    state.store([(Position(7, s), small_chain(minute=s)) for s in range(31, 36)])
    path = state.directory / state.files()[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 8
    path.write_bytes(content)
    async with Reader(state.directory, SETTINGS) as reader:
        with pytest.raises(DataLoss) as caught:
            await read(reader, state)
        assert caught.value.reason == "DAMAGED_FILE"
        assert caught.value.metadata["file"] == state.files()[0]
        after = Wanted(Span(to_micros(OPENING) + 31 * 60_000_000))
        assert len(await read(reader, state, after)) == 5
        assert (await reader.latest(state.history.of("NIFTY"), None)).position == Position(7, 35)


async def test_chains_before_a_damaged_file_are_served_and_then_it_is_named(state):
    for sequence in range(31, 36):
        state.roll()
        state.store([(Position(7, sequence), small_chain(minute=sequence))])
    damaged = state.directory / state.history.of("NIFTY").files[2].path
    damaged.write_bytes(damaged.read_bytes()[:-3])
    async with Reader(state.directory, SETTINGS) as reader:
        answers = reader.read(state.history.of("NIFTY"), EVERYTHING, lambda position, _: position.sequence)
        assert [await anext(answers) for _ in range(31)] == list(range(1, 32))
        with pytest.raises(DataLoss, match=damaged.name):
            await anext(answers)


async def test_reads_beyond_the_most_are_refused_until_one_ends_and_the_newest_chain_is_not(state):
    history = state.history.of("NIFTY")
    first_us = to_micros(OPENING) + 2 * 60_000_000
    async with Reader(state.directory, SETTINGS.model_copy(update={"open_reads": 2})) as reader:
        slow = [reader.read(history, EVERYTHING, lambda position, _: position.sequence) for _ in range(2)]
        assert [await anext(each) for each in slow] == [1, 1]
        with pytest.raises(ResourceExhausted) as caught:
            await read(reader, state)
        assert (caught.value.reason, caught.value.retry_after_s) == ("TOO_MANY_READS", 1.0)
        assert (await reader.latest(history, first_us)).position.sequence < 30
        await slow[0].aclose()
        assert len(await read(reader, state)) == 30
        assert [sequence async for sequence in slow[1]] == list(range(2, 31))
        assert len(await read(reader, state)) == 30


@pytest.mark.parametrize("rows", [1, 10_000])
async def test_an_answer_is_the_same_however_many_files_one_query_reads(state, monkeypatch, rows):
    monkeypatch.setattr(query, "_ROWS_PER_QUERY", rows)
    before = state.history.of("NIFTY")
    state.roll()
    for sequence in range(31, 36):
        state.store([(Position(7, sequence), small_chain(minute=sequence))])
        state.roll()
    async with Reader(state.directory, SETTINGS) as reader:
        answer = await read(reader, state)
        assert [row[0].sequence for row in answer] == list(range(1, 36))
        assert answer[:30] == [bits(each.chain, each.position) for each in before.tail]


async def test_a_damaged_row_is_named_and_not_left_out_while_the_rest_is_served(state):
    state.outbox.connection.execute("UPDATE snapshot SET payload = x'0102' WHERE sequence = 10")
    again = open_kept(state.directory)
    async with Reader(again.directory, SETTINGS) as reader:
        with pytest.raises(DataLoss) as caught:
            await read(reader, again)
        assert caught.value.reason == "DAMAGED_JOURNAL"
        assert caught.value.metadata == {"index": "NIFTY", "epoch": "7", "sequence": "10"}
        before = Wanted(Span(None, to_micros(OPENING) + 10 * 60_000_000))
        after = Wanted(Span(to_micros(OPENING) + 11 * 60_000_000))
        assert [row[0].sequence for row in await read(reader, again, before)] == list(range(1, 10))
        assert [row[0].sequence for row in await read(reader, again, after)] == list(range(11, 31))
        assert (await reader.latest(again.history.of("NIFTY"), None)).position == Position(7, 30)


async def test_the_newest_chain_is_not_an_older_one_when_it_is_the_damaged_one(state):
    state.outbox.connection.execute("UPDATE snapshot SET payload = x'0102' WHERE sequence = 30")
    again = open_kept(state.directory)
    async with Reader(again.directory, SETTINGS) as reader:
        with pytest.raises(DataLoss):
            await reader.latest(again.history.of("NIFTY"), None)
        before = await reader.latest(again.history.of("NIFTY"), to_micros(OPENING) + 30 * 60_000_000)
        assert before.position == Position(7, 29)


async def test_an_index_without_chains_has_none_at_any_time(tmp_path):
    state = open_kept(tmp_path)
    async with Reader(tmp_path, SETTINGS) as reader:
        assert await read(reader, state) == []
        for before_us in (None, to_micros(OPENING)):
            with pytest.raises(NotFound, match="no chain stored yet"):
                await reader.latest(state.history.of("NIFTY"), before_us)


async def test_a_file_of_the_format_before_flags_is_read_beside_those_of_today(tmp_path):
    kept = open_kept(tmp_path)
    old, new = small_chain(minute=1), replace(small_chain(minute=2), quality=QualityFlag.INCOMPLETE)
    kept.store([(Position(7, 1), old)])
    kept.roll()
    [file] = kept.history.of("NIFTY").files
    path = kept.directory / file.path
    columns = [name for name in SCHEMA.names if name not in ADDED_COLUMNS]
    pq.write_table(pq.read_table(path, columns=columns, partitioning=None), path)
    content = path.read_bytes()
    rewritten = replace(file, byte_count=len(content), sha256=hashlib.sha256(content).hexdigest())
    kept.history.replace(replace(kept.history.of("NIFTY"), files=(rewritten,)))
    expected = [bits(old, Position(7, 1))]
    async with Reader(kept.directory, SETTINGS) as reader:
        assert await read(reader, kept) == expected
        kept.store([(Position(7, 2), new)])
        expected.append(bits(new, Position(7, 2)))
        assert await read(reader, kept) == expected  # beside the tail
        kept.roll()
        assert await read(reader, kept) == expected  # beside a file of today
