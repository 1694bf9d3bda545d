"""The judge of histories sees every kind of damage."""

from __future__ import annotations

from dataclasses import replace

import pytest

from optrading.market.chain import Chain, Position
from optrading.market.codec import encode_chain
from optrading.market.v1.chain_pb2 import ChainSnapshot
from optrading.testing.recordings import synthetic_chains
from tests.faults.history import faults_of


@pytest.fixture(scope="module")
def recorded() -> tuple[Chain, ...]:
    return synthetic_chains(minutes=6, strikes=3)


@pytest.fixture
def stored(recorded: tuple[Chain, ...]) -> list[ChainSnapshot]:
    positions = [Position(7, 1), Position(7, 2), Position(7, 3), Position(9, 1), Position(9, 2), Position(9, 3)]
    return [encode_chain(chain, position) for chain, position in zip(recorded, positions, strict=True)]


def test_a_whole_history_over_two_epochs_has_no_fault(stored, recorded) -> None:
    assert faults_of(stored, recorded) == []


def test_a_missing_chain_is_seen(stored, recorded) -> None:
    for number in range(len(stored)):
        assert faults_of(stored[:number] + stored[number + 1 :], recorded)


def test_a_repeated_chain_is_seen(stored, recorded) -> None:
    assert faults_of([*stored[:2], stored[1], *stored[2:]], recorded)


def test_chains_out_of_order_are_seen(stored, recorded) -> None:
    assert faults_of([stored[1], stored[0], *stored[2:]], recorded)


def test_another_price_is_seen(stored, recorded) -> None:
    stored[4].expiries[0].put.last_inr[1] += 0.05
    assert len(faults_of(stored, recorded)) == 1


def test_another_spot_is_seen(stored, recorded) -> None:
    assert faults_of(stored, [replace(recorded[0], spot_inr=recorded[0].spot_inr + 0.05), *recorded[1:]])


def test_a_missing_expiry_is_seen(stored, recorded) -> None:
    del stored[2].expiries[0]
    assert faults_of(stored, recorded)
