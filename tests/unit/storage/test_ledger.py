from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest
from opentelemetry.sdk.trace import TracerProvider

from optrading.market.chain import ORIGIN, Position
from optrading.market.codec import encode_chain, to_micros
from optrading.storage import ledger as ledger_module
from optrading.storage.ledger import WATERMARK, LedgerError
from optrading.storage.stores.catalog import UNDECODABLE, Totals
from optrading.storage.stores.parquet import seal
from tests.chains import OPENING, small_chain
from tests.unit.storage.samples import open_kept, received


def placed(*sequences: int, epoch: int = 7, index: str = "NIFTY"):
    return [(Position(epoch, s), small_chain(index, s)) for s in sequences]


def test_chains_their_watermark_their_counts_and_their_notices_are_there_after_a_commit(tmp_path):
    kept = open_kept(tmp_path)
    assert kept.ledger.store([received(c, p) for p, c in placed(1, 2)]) == {"NIFTY": Position(7, 2)}
    opening_us = to_micros(OPENING)
    totals = Totals(2, 24, opening_us + 60_000_000, opening_us + 120_000_000)
    for each in (kept, open_kept(tmp_path)):
        history = each.history.of("NIFTY")
        assert history.watermark == Position(7, 2)
        assert history.totals == totals
        assert history.watermark_time_us == totals.last_event_time_us
        assert [chain.position for chain in history.tail] == [Position(7, 1), Position(7, 2)]
        assert history.newest is history.tail[-1]
        notices = each.outbox.pending(10)
        assert [n.event.event_id for n in notices] == ["legs_stored/NIFTY/7/1", "legs_stored/NIFTY/7/2"]
        assert {n.event.event_type for n in notices} == {"legs_stored"}
        assert notices[0].event.legs_stored.count == 12
        assert notices[0].event.legs_stored.event_time == encode_chain(small_chain(minute=1), ORIGIN).event_time


def test_the_bytes_are_kept_as_they_came(tmp_path):
    kept = open_kept(tmp_path)
    [(position, chain)] = placed(1)
    kept.store([(position, chain)])
    assert kept.journal.last("NIFTY").payload == encode_chain(chain, position).SerializeToString()


def test_one_transaction_holds_several_indices(tmp_path):
    kept = open_kept(tmp_path)
    kept.store([*placed(1), *placed(1, 2, index="SENSEX"), *placed(2)])
    assert kept.history.of("NIFTY").watermark == Position(7, 2)
    assert kept.history.of("SENSEX").watermark == Position(7, 2)


def test_nothing_of_a_batch_is_there_when_its_commit_fails(tmp_path):
    kept = open_kept(tmp_path)
    kept.store(placed(1))
    before = kept.history.of("NIFTY")
    with pytest.raises(sqlite3.IntegrityError):
        kept.store(placed(2, 3, 3))
    assert kept.history.of("NIFTY") is before
    for each in (kept, open_kept(tmp_path)):
        assert each.history.of("NIFTY").watermark == Position(7, 1)
        assert each.history.of("NIFTY").totals.chain_count == 1
        assert len(each.outbox.pending(10)) == 1
    kept.store(placed(2))
    assert kept.history.of("NIFTY").watermark == Position(7, 2)


def test_a_chain_that_contradicts_itself_is_set_aside_and_does_not_hold_up_the_next(tmp_path):
    kept = open_kept(tmp_path)
    bad = encode_chain(small_chain(minute=2), Position(7, 2))
    bad.expiries[0].expiry = "soon"
    good = [received(c, p) for p, c in placed(1, 3)]
    kept.ledger.store([good[0], replace(good[0], message=bad, traceparent="00-aa-bb-01"), good[1]])
    for each in (kept, open_kept(tmp_path)):
        assert each.history.of("NIFTY").watermark == Position(7, 3)
        assert [chain.position.sequence for chain in each.history.of("NIFTY").tail] == [1, 3]
        assert each.history.of("NIFTY").totals.chain_count == 2
        [aside] = each.catalog.list_set_aside(UNDECODABLE)
        assert (aside.index, aside.position, aside.payload) == ("NIFTY", Position(7, 2), bad.SerializeToString())
        assert "soon" in aside.detail
        assert [n.event.legs_stored.sequence for n in each.outbox.pending(10)] == [1, 3]


def test_the_watermark_of_an_index_without_one_good_chain_survives(tmp_path):
    kept = open_kept(tmp_path)
    bad = received(small_chain(), Position(7, 1))
    bad.message.expiries[0].expiry = "soon"
    kept.ledger.store([bad])
    again = open_kept(tmp_path).history.of("NIFTY")
    assert again.watermark == Position(7, 1)
    assert again.totals is None
    assert again.newest is None


def test_the_newest_chain_is_that_of_the_greatest_event_time_and_of_several_the_last(tmp_path):
    kept = open_kept(tmp_path)
    kept.store([(Position(7, n + 1), small_chain(minute=minute)) for n, minute in enumerate((5, 9, 9, 2))])
    for each in (kept, open_kept(tmp_path)):
        assert each.history.of("NIFTY").newest.position == Position(7, 3)
        assert each.history.of("NIFTY").watermark == Position(7, 4)


def test_a_notice_continues_the_trace_of_its_chain(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger_module, "tracer", TracerProvider().get_tracer("test"))
    kept = open_kept(tmp_path)
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    kept.ledger.store([received(small_chain(), Position(7, 1), f"00-{trace_id}-{span_id}-01")])
    [notice] = kept.outbox.pending(10)
    _, found_trace, found_span, _ = notice.traceparent.split("-")
    assert found_trace == trace_id
    assert found_span != span_id
    assert kept.journal.last("NIFTY").traceparent == f"00-{trace_id}-{span_id}-01"


def test_without_a_bus_no_notices_gather(tmp_path):
    kept = open_kept(tmp_path, events=False)
    kept.store(placed(1))
    assert kept.outbox.pending(10) == []


def test_sealing_moves_chains_from_the_journal_to_a_listed_file(tmp_path):
    kept = open_kept(tmp_path)
    kept.store(placed(1, 2, 3))
    newest = kept.history.of("NIFTY").newest
    kept.roll()
    for each in (kept, open_kept(tmp_path)):
        history = each.history.of("NIFTY")
        assert (history.tail, [file.path for file in history.files]) == ((), each.files())
        assert each.journal.read_after("NIFTY", ORIGIN, 10) == []
        assert history.watermark == Position(7, 3)
        assert history.totals.chain_count == 3
    assert kept.history.of("NIFTY").newest is newest


def test_chains_that_come_during_a_seal_stay_in_the_tail(tmp_path):
    kept = open_kept(tmp_path)
    kept.store(placed(1, 2))
    tail = kept.history.of("NIFTY").tail
    file = seal(tmp_path, "NIFTY", tail[0].trading_date, tail)
    kept.store(placed(3))
    kept.ledger.commit_sealed(file)
    assert [chain.position.sequence for chain in kept.history.of("NIFTY").tail] == [3]


def test_a_file_that_the_journal_does_not_bear_out_is_not_listed(tmp_path):
    kept = open_kept(tmp_path)
    kept.store(placed(1, 2))
    tail = kept.history.of("NIFTY").tail
    file = seal(tmp_path, "NIFTY", tail[0].trading_date, tail)
    with pytest.raises(LedgerError):
        kept.ledger.commit_sealed(replace(file, last_sequence=1))
    assert kept.catalog.files() == []
    assert len(kept.journal.read_after("NIFTY", ORIGIN, 10)) == 2
    assert len(kept.history.of("NIFTY").tail) == 2


def test_the_watermark_is_a_cursor_of_the_journal(tmp_path):
    kept = open_kept(tmp_path)
    kept.store(placed(1))
    assert kept.journal.cursors(WATERMARK) == {"NIFTY": Position(7, 1)}
