from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.market.chain import ORIGIN, Position
from optrading.storage.ordering import Sequencer, Verdict, judge

lengths = st.lists(st.integers(1, 12), min_size=1, max_size=4)


def published(lengths: list[int]) -> list[Position]:
    """Everything that collectors published: epochs with so many chains each."""
    return [Position(10 * (e + 1), s) for e, length in enumerate(lengths) for s in range(1, length + 1)]


@pytest.mark.parametrize(
    ("position", "accepted", "announced", "verdict"),
    [
        (Position(5, 1), ORIGIN, ORIGIN, Verdict.NEXT),
        (Position(5, 2), ORIGIN, ORIGIN, Verdict.AHEAD),
        (Position(5, 3), Position(5, 3), Position(5, 3), Verdict.REPEATED),
        (Position(5, 1), Position(5, 3), Position(5, 3), Verdict.REPEATED),
        (Position(5, 4), Position(5, 3), Position(5, 3), Verdict.NEXT),
        (Position(5, 5), Position(5, 3), Position(5, 3), Verdict.AHEAD),
        (Position(4, 9), Position(5, 3), Position(5, 3), Verdict.STALE),
        (Position(6, 1), Position(5, 3), Position(5, 3), Verdict.NEXT),
        (Position(6, 1), Position(5, 3), Position(5, 4), Verdict.AHEAD),
        (Position(6, 2), Position(5, 3), Position(5, 3), Verdict.AHEAD),
    ],
)
def test_a_position_is_judged_by_what_was_accepted_and_what_is_known_to_exist(position, accepted, announced, verdict):
    assert judge(position, accepted, announced) is verdict


@given(lengths, st.data())
def test_a_prefix_without_gap_or_repeat_comes_out_of_any_disorder(lengths, data):
    everything = published(lengths)
    arrivals = data.draw(st.lists(st.sampled_from(everything), max_size=60))
    sequencer: Sequencer[Position] = Sequencer(ORIGIN, capacity=data.draw(st.integers(1, 20)))
    out: list[Position] = []
    for position in arrivals:
        out += sequencer.offer(position, position)[1]
    epochs = {position.epoch for position in out}
    for epoch in epochs:
        sequences = [position.sequence for position in out if position.epoch == epoch]
        assert sequences == list(range(1, len(sequences) + 1))
    assert out == sorted(out)
    assert sequencer.accepted == (out[-1] if out else ORIGIN)


@given(lengths, st.integers(0, 2**32), st.data())
def test_everything_comes_out_once_when_neighbours_are_swapped_and_repeated(lengths, seed, data):
    everything = published(lengths)
    rng = random.Random(seed)
    arrivals: list[Position] = []
    for epoch in {p.epoch: None for p in everything}:
        block = [p for p in everything if p.epoch == epoch]
        # Repeats of what has come, and displacement by up to three places, inside an epoch.
        jumbled = sorted(enumerate(block), key=lambda pair: pair[0] + rng.uniform(0, 3))
        for _, position in jumbled:
            arrivals.append(position)
            if rng.random() < 0.3:
                arrivals.append(rng.choice([p for p in arrivals if p.epoch == epoch]))
    sequencer: Sequencer[Position] = Sequencer(ORIGIN, capacity=8)
    out = [item for position in arrivals for item in sequencer.offer(position, position)[1]]
    assert out == everything


@given(lengths, st.integers(0, 40))
def test_resuming_anywhere_continues_without_gap_or_repeat(lengths, at):
    everything = published(lengths)
    at = min(at, len(everything))
    accepted = everything[at - 1] if at else ORIGIN
    sequencer: Sequencer[Position] = Sequencer(accepted, capacity=4)
    replayed = [p for p in everything if p.epoch >= accepted.epoch]
    out = [item for position in replayed for item in sequencer.offer(position, position)[1]]
    assert out == everything[at:]


def test_no_more_is_held_than_the_capacity_and_what_is_dropped_can_come_again():
    sequencer: Sequencer[int] = Sequencer(ORIGIN, capacity=2)
    for sequence in (2, 3, 4):
        assert sequencer.offer(Position(1, sequence), sequence)[0] is Verdict.AHEAD
    assert sequencer.full
    assert sequencer.offer(Position(1, 1), 1) == (Verdict.NEXT, [1, 2, 3])
    assert not sequencer.holding
    assert sequencer.offer(Position(1, 4), 4) == (Verdict.NEXT, [4])


def test_a_new_epoch_waits_for_what_the_old_one_is_known_to_have():
    sequencer: Sequencer[str] = Sequencer(Position(1, 5), capacity=4)
    sequencer.announce(Position(1, 7))
    assert sequencer.offer(Position(2, 1), "new") == (Verdict.AHEAD, [])
    assert sequencer.offer(Position(1, 6), "six") == (Verdict.NEXT, ["six"])
    assert sequencer.offer(Position(1, 7), "seven") == (Verdict.NEXT, ["seven", "new"])


def test_a_gap_that_is_given_up_is_named_and_what_follows_is_next():
    sequencer: Sequencer[int] = Sequencer(Position(1, 5), capacity=4)
    sequencer.offer(Position(1, 9), 9)
    assert sequencer.skip_to(Position(1, 9)) == Position(1, 5)
    assert sequencer.offer(Position(1, 9), 9) == (Verdict.NEXT, [9])


def test_forgetting_what_is_held_keeps_the_knowledge_that_it_exists():
    sequencer: Sequencer[int] = Sequencer(Position(1, 5), capacity=4)
    sequencer.offer(Position(1, 9), 9)
    assert sequencer.forget_held() == Position(1, 9)
    assert sequencer.offer(Position(2, 1), 1)[0] is Verdict.AHEAD
