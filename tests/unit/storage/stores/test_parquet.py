from __future__ import annotations

import hashlib
import math
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from optrading.common.errors import DataLoss
from optrading.market.chain import Position
from optrading.market.clock import trading_date
from optrading.market.codec import to_micros
from optrading.storage.history import unsealed_chain
from optrading.storage.stores import parquet
from optrading.storage.stores.columns import chains_of
from optrading.storage.stores.parquet import SealError, Verifier, path_of, positions_of, same_rows, seal
from tests.chains import OPENING, small_chain
from tests.unit.storage.samples import bits, chains, positions_for


def sealed(directory, count: int = 3):
    some = [unsealed_chain(Position(7, n + 1), small_chain(minute=n)) for n in range(count)]
    return seal(directory, "NIFTY", some[0].trading_date, some), some


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(chains(st.just(OPENING)), min_size=1, max_size=4))
def test_chains_survive_a_sealed_file_to_the_last_bit(tmp_path_factory, some):
    directory = tmp_path_factory.mktemp("store")
    placed = list(zip(positions_for(len(some)), some, strict=True))
    file = seal(directory, "NIFTY", trading_date(OPENING), [unsealed_chain(*each) for each in placed])
    table = pq.read_table(directory / file.path, partitioning=None)
    found = [each for batch in chains_of("NIFTY", table.to_batches()) for each in batch]
    assert [bits(chain, position) for position, chain in found] == [bits(chain, position) for position, chain in placed]


def test_a_sealed_file_is_described_as_it_is(tmp_path):
    file, some = sealed(tmp_path)
    content = (tmp_path / file.path).read_bytes()
    assert file.path == "chains/index=NIFTY/date=2026-08-18/7-1-3.parquet"
    assert (file.byte_count, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (file.chain_count, file.row_count) == (3, 18)
    assert file.min_event_time_us == to_micros(OPENING)
    assert file.max_event_time_us == some[-1].event_time_us
    assert (file.first, file.last) == (Position(7, 1), Position(7, 3))


def test_rows_are_sorted_by_time_also_when_chains_came_in_another_order(tmp_path):
    some = [unsealed_chain(Position(7, n + 1), small_chain(minute=minute)) for n, minute in enumerate((5, 0, 3))]
    file = seal(tmp_path, "NIFTY", some[0].trading_date, some)
    times = pq.read_table(tmp_path / file.path, partitioning=None)["event_time"].to_pylist()
    assert times == sorted(times)
    assert (file.first, file.last) == (Position(7, 1), Position(7, 3))


def test_nothing_is_left_beside_a_sealed_file(tmp_path):
    file, _ = sealed(tmp_path)
    assert [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()] == [file.path]


@pytest.mark.parametrize("change", ["cut", "flip"])
def test_a_file_that_reads_back_differently_is_not_sealed(tmp_path, monkeypatch, change):
    write = parquet._write_durably

    def write_badly(path, content):
        spoiled = bytearray(content)
        if change == "flip":
            spoiled[len(spoiled) // 2] ^= 1
        write(path, bytes(spoiled[: -(change == "cut")] if change == "cut" else spoiled))

    monkeypatch.setattr(parquet, "_write_durably", write_badly)
    with pytest.raises(SealError):
        sealed(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_rows_that_an_encoder_would_spoil_are_not_sealed(tmp_path, monkeypatch):
    serialize = parquet._serialize
    monkeypatch.setattr(parquet, "_serialize", lambda table: serialize(table.slice(0, table.num_rows - 1)))
    with pytest.raises(SealError):
        sealed(tmp_path)


def test_every_flipped_bit_and_every_cut_is_found_before_a_file_is_used(tmp_path):
    file, _ = sealed(tmp_path, count=1)
    path = tmp_path / file.path
    content = path.read_bytes()
    rng = random.Random(1)
    for _ in range(100):
        spoiled = bytearray(content)
        spoiled[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(spoiled)
        with pytest.raises(DataLoss) as caught:
            Verifier(tmp_path).verify(file)
        assert caught.value.reason == "DAMAGED_FILE"
        assert caught.value.metadata["file"] == file.path
        assert file.path in caught.value.message
    for length in rng.sample(range(len(content)), 50):
        path.write_bytes(content[:length])
        with pytest.raises(DataLoss):
            Verifier(tmp_path).verify(file)


def test_a_missing_file_is_damage(tmp_path):
    file, _ = sealed(tmp_path)
    (tmp_path / file.path).unlink()
    with pytest.raises(DataLoss, match="No such file"):
        Verifier(tmp_path).verify(file)


def test_a_file_is_hashed_once_and_again_when_it_was_touched(tmp_path, monkeypatch):
    file, _ = sealed(tmp_path)
    hashed = []
    real = parquet._hash_file
    monkeypatch.setattr(parquet, "_hash_file", lambda path: hashed.append(path) or real(path))
    verifier = Verifier(tmp_path)
    assert verifier.verify(file) == verifier.verify(file) == tmp_path / file.path
    assert len(hashed) == 1
    content = bytearray((tmp_path / file.path).read_bytes())
    content[9] ^= 4
    (tmp_path / file.path).write_bytes(content)
    with pytest.raises(DataLoss):
        verifier.verify(file)


@given(st.dates(), st.integers(1, 2**62), st.integers(1, 2**40), st.integers(1, 2**40))
def test_a_path_tells_its_positions(day, epoch, first, last):
    path = path_of("BANKNIFTY", day, Position(epoch, first), Position(epoch, last))
    assert positions_of(path) == ("BANKNIFTY", Position(epoch, first), Position(epoch, last))


@pytest.mark.parametrize("path", ["chains/x", "chains/index=A/date=B/notes.txt", "other/index=A/date=B/1-2-3.parquet"])
def test_another_path_has_no_positions(path):
    assert positions_of(path) is None


def test_tables_are_compared_bit_by_bit():
    def table(value):
        return pa.table({"x": pa.array([value], pa.float64())})

    assert same_rows(table(math.nan), table(math.nan))
    assert not same_rows(table(0.0), table(-0.0))
    assert not same_rows(table(None), table(0.0))
    assert not same_rows(table(1.0), table(1.0).rename_columns(["y"]))
    assert not same_rows(pa.table({"x": ["a"]}), pa.table({"x": ["b"]}))
