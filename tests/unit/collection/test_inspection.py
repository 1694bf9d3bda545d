from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optrading.collection.feeds.replay import open_recording
from optrading.collection.inspection import Inspector
from optrading.collection.shaping import Shaper
from optrading.market.calendar import AlwaysOpen, TradingCalendar
from optrading.market.chain import Chain, ExpiryChain, Legs, column
from optrading.market.quality import QualityFlag
from tests.chains import NEXT_WEEK, OPENING, THIS_WEEK, small_chain

MINUTE = timedelta(minutes=1)


def with_call(chain: Chain, row: int, **values: float) -> Chain:
    """Return `chain` with other numbers in one call of its first expiry."""
    first = chain.expiries[0]
    columns = {}
    for name, value in values.items():
        numbers = getattr(first.call, name).copy()
        numbers[row] = value
        columns[name] = column(numbers)
    return replace(chain, expiries=(replace(first, call=replace(first.call, **columns)), *chain.expiries[1:]))


def flags_of(chain: Chain, row: int) -> QualityFlag:
    return QualityFlag(int(chain.expiries[0].call.quality[row]))


@pytest.fixture
def inspector() -> Inspector:
    return Inspector(timedelta(seconds=30))


def test_an_ordinary_chain_has_no_flags_and_is_complete(inspector: Inspector) -> None:
    chain = inspector.inspect(small_chain())
    assert chain.quality == QualityFlag(0)
    assert chain.completeness is not None
    assert (chain.completeness.wanted_leg_count, chain.completeness.known_leg_count) == (12, 12)
    assert (chain.completeness.ratio, chain.completeness.flagged_leg_count) == (1.0, 0)
    assert not any(legs.quality.any() for each in chain.expiries for legs in (each.call, each.put))


def test_a_crossed_quote_is_flagged_where_it_is(inspector: Inspector) -> None:
    chain = inspector.inspect(with_call(small_chain(), 1, bid_inr=70.0, ask_inr=69.95))
    assert [flags_of(chain, row) for row in range(3)] == [0, QualityFlag.CROSSED_QUOTE, 0]
    assert chain.completeness.flagged_leg_count == 1


@pytest.mark.parametrize(
    "values",
    [{"last_inr": 30_000.0}, {"last_inr": 0.0}, {"last_inr": -1.0}, {"bid_inr": np.inf}, {"bid_inr": 25_500.0}],
)
def test_a_call_that_costs_more_than_the_index_or_nothing_is_outside_limits(inspector, values) -> None:
    chain = inspector.inspect(with_call(small_chain(), 0, **values))
    assert flags_of(chain, 0) & QualityFlag.PRICE_OUTSIDE_LIMITS


def test_a_put_is_worth_its_strike_at_most(inspector: Inspector) -> None:
    chain = small_chain()
    first = chain.expiries[0]
    put = replace(first.put, last_inr=column([24_900.0, 24_950.1, 60.0]))
    chain = inspector.inspect(replace(chain, expiries=(replace(first, put=put), *chain.expiries[1:])))
    assert chain.expiries[0].put.quality.tolist() == [0, QualityFlag.PRICE_OUTSIDE_LIMITS, 0]


def test_a_price_below_intrinsic_value_was_fair_when_it_traded(inspector: Inspector) -> None:
    assert flags_of(inspector.inspect(with_call(small_chain(), 0, last_inr=0.05, bid_inr=0.05)), 0) == 0


def test_volume_that_decreases_is_flagged_until_it_is_where_it_was(inspector: Inspector) -> None:
    volumes = (1_000.0, 935.0, np.nan, 970.0, 1_000.0, 1_065.0)
    flags = [
        flags_of(inspector.inspect(with_call(small_chain(minute=n), 0, volume_units=volume)), 0)
        for n, volume in enumerate(volumes)
    ]
    fell = QualityFlag.DECREASING_VOLUME
    assert flags == [0, fell, 0, fell, 0, 0]


def test_a_new_day_begins_without_volume(inspector: Inspector) -> None:
    inspector.inspect(small_chain())
    tomorrow = replace(small_chain(), event_time=OPENING + timedelta(days=1))
    assert flags_of(inspector.inspect(with_call(tomorrow, 0, volume_units=65.0)), 0) == 0


def interest(inspector: Inspector, rows: list[tuple[float, float]]) -> list[int]:
    return [
        int(
            flags_of(
                inspector.inspect(
                    with_call(small_chain(minute=n), 0, volume_units=volume, open_interest_units=open_interest)
                ),
                0,
            )
        )
        for n, (volume, open_interest) in enumerate(rows)
    ]


def test_open_interest_may_change_by_what_was_traded_since_the_publication_before_the_last(inspector) -> None:
    calm = [(1_000.0, 5_000.0), (1_100.0, 5_050.0), (1_200.0, 5_050.0), (1_300.0, 5_300.0), (1_300.0, 5_100.0)]
    assert interest(inspector, calm) == [0, 0, 0, 0, 0]


def test_open_interest_that_jumps_by_more_is_flagged(inspector: Inspector) -> None:
    jump = QualityFlag.OPEN_INTEREST_JUMP
    assert interest(inspector, [(1_000.0, 5_000.0), (1_100.0, 5_050.0), (1_200.0, 9_000.0)]) == [0, 0, jump]


def test_what_was_known_and_is_gone_makes_a_chain_incomplete(inspector: Inspector) -> None:
    inspector.inspect(small_chain())
    nothing = dict.fromkeys(
        ("last_inr", "bid_inr", "ask_inr", "volume_units", "open_interest_units", "open_interest_change_units"), np.nan
    )
    chain = inspector.inspect(with_call(small_chain(minute=1), 0, **nothing))
    assert chain.quality == QualityFlag.INCOMPLETE
    assert (chain.completeness.wanted_leg_count, chain.completeness.known_leg_count) == (12, 11)
    assert chain.completeness.ratio == pytest.approx(11 / 12)


def test_what_the_feed_says_is_listed_is_wanted(inspector: Inspector) -> None:
    chain = small_chain()
    first = chain.expiries[0]
    unknown = replace(Legs.unknown(3), quality=np.full(3, QualityFlag.INCOMPLETE.value, dtype=np.uint16))
    chain = inspector.inspect(replace(chain, expiries=(replace(first, call=unknown), *chain.expiries[1:])))
    assert (chain.completeness.wanted_leg_count, chain.completeness.known_leg_count) == (12, 9)
    assert chain.quality == QualityFlag.INCOMPLETE


def test_a_chain_without_any_leg_is_never_silent(inspector: Inspector) -> None:
    chain = inspector.inspect(replace(small_chain(), expiries=()))
    assert chain.quality == QualityFlag.INCOMPLETE
    assert np.isnan(chain.completeness.ratio)


def test_stale_legs_of_the_feed_do_not_count_as_complete(inspector: Inspector) -> None:
    chain = small_chain()
    stale = replace(chain.expiries[0].call, quality=np.array([1, 1, 0], dtype=np.uint16))
    chain = replace(chain, expiries=(replace(chain.expiries[0], call=stale), *chain.expiries[1:]))
    assert inspector.inspect(chain).completeness.ratio == pytest.approx(10 / 12)


def test_a_live_chain_is_stale_when_it_comes_late_and_closed_when_the_market_is() -> None:
    late = replace(small_chain(minute=5), receive_time=OPENING + 6 * MINUTE)
    night = replace(small_chain(), event_time=OPENING + timedelta(hours=9), receive_time=OPENING + timedelta(hours=9))
    live = Inspector(timedelta(seconds=30), TradingCalendar())
    assert live.inspect(late).quality == QualityFlag.STALE
    assert live.inspect(night).quality == QualityFlag.MARKET_CLOSED
    assert Inspector(timedelta(seconds=30), AlwaysOpen()).inspect(night).quality == 0
    assert Inspector(timedelta(seconds=30)).inspect(late).quality == 0  # a recording is never late


def test_legs_keep_their_past_when_the_ladder_changes(inspector: Inspector) -> None:
    inspector.inspect(with_call(small_chain(), 1, volume_units=9_000.0))
    narrow = Shaper().shape(small_chain(minute=1, strikes=(24_950.0,)))
    assert flags_of(inspector.inspect(narrow), 0) == QualityFlag.DECREASING_VOLUME


def test_the_recorded_day_has_the_flags_that_it_should_have(real_data: Path) -> None:
    recording = open_recording(real_data / "intraday_nifty" / "option_chain_20260818.parquet")
    inspector, shaper = Inspector(timedelta(seconds=30)), Shaper()
    counts = dict.fromkeys(QualityFlag, 0)
    legs = 0
    for number in range(len(recording)):
        chain = inspector.inspect(shaper.shape(recording.chain(number, recording.event_time(number), "replay")))
        legs += chain.completeness.known_leg_count
        for expiry in chain.expiries:
            for side in (expiry.call, expiry.put):
                for flag in QualityFlag:
                    counts[flag] += int(np.count_nonzero(side.quality & flag.value))
    assert legs == 153_990
    # 373 rows have less volume than the row before; two of them are followed by one that is still below the day's most.
    assert counts[QualityFlag.DECREASING_VOLUME] == 375
    assert 0 < counts[QualityFlag.OPEN_INTEREST_JUMP] < 0.005 * legs
    assert (
        counts[QualityFlag.PRICE_OUTSIDE_LIMITS] == counts[QualityFlag.CROSSED_QUOTE] == counts[QualityFlag.STALE] == 0
    )


LADDERS = st.lists(st.sampled_from([24_900.0, 24_950.0, 25_000.0, 25_050.0]), unique=True, min_size=1, max_size=4).map(
    sorted
)
NUMBERS = st.sampled_from([np.nan, -1.0, 0.0, 60.0, 65.0, 130.0, 6_500.0, 30_000.0])


@st.composite
def expiry_chains(draw: st.DrawFn, expiry: date) -> ExpiryChain:
    ladder = draw(LADDERS)

    def side() -> Legs:
        rows = st.lists(NUMBERS, min_size=len(ladder), max_size=len(ladder))
        known_flags = st.lists(st.sampled_from([0, QualityFlag.STALE.value, QualityFlag.INCOMPLETE.value]),
                               min_size=len(ladder), max_size=len(ladder))  # fmt: skip
        return Legs(*(column(draw(rows)) for _ in range(6)), quality=np.array(draw(known_flags), dtype=np.uint16))

    return ExpiryChain(expiry, 65, column(ladder), side(), side(), np.zeros(len(ladder), dtype=np.int32))


@st.composite
def days_of_chains(draw: st.DrawFn) -> list[Chain]:
    """Chains whose expiries and ladders come and go."""
    chains = []
    for minute in range(draw(st.integers(1, 5))):
        listed = draw(st.lists(st.sampled_from([THIS_WEEK, NEXT_WEEK, date(2026, 9, 29)]), unique=True).map(sorted))
        expiries = tuple(draw(expiry_chains(expiry)) for expiry in listed)
        chains.append(replace(small_chain(minute=minute), expiries=expiries))
    return chains


@settings(max_examples=30)  # each is a whole day
@given(days_of_chains())
def test_an_expiry_is_flagged_as_if_it_were_alone(chains: list[Chain]) -> None:
    together = Inspector(timedelta(seconds=30))
    alone: dict[date, Inspector] = {}
    for chain in chains:
        whole = together.inspect(chain)
        if not chain.expiries:
            continue  # nothing is forgotten, see below
        alone = {each.expiry: alone.get(each.expiry, Inspector(timedelta(seconds=30))) for each in chain.expiries}
        parts = [alone[each.expiry].inspect(replace(chain, expiries=(each,))) for each in chain.expiries]
        for one, part in zip(whole.expiries, parts, strict=True):
            assert one.call.quality.tolist() == part.expiries[0].call.quality.tolist()
            assert one.put.quality.tolist() == part.expiries[0].put.quality.tolist()
        for name in ("wanted_leg_count", "known_leg_count", "flagged_leg_count"):
            assert getattr(whole.completeness, name) == sum(getattr(part.completeness, name) for part in parts)


def test_an_empty_chain_in_between_forgets_nothing(inspector: Inspector) -> None:
    inspector.inspect(small_chain())
    empty = inspector.inspect(replace(small_chain(minute=1), expiries=()))
    assert empty.quality == QualityFlag.INCOMPLETE
    chain = inspector.inspect(with_call(small_chain(minute=2), 0, volume_units=1.0))
    assert flags_of(chain, 0) & QualityFlag.DECREASING_VOLUME
