from __future__ import annotations

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from optrading.analytics.computation import MODEL, analyse_chain
from optrading.analytics.v1 import analytics_service_pb2 as pb
from optrading.collection.shaping import Shaper
from optrading.market.chain import Chain, Legs, Position, column
from optrading.market.codec import from_timestamp
from tests.chains import OPENING, small_chain

NOW = OPENING + timedelta(seconds=1)


def analysed(chain: Chain) -> pb.AnalyticsSnapshot:
    return analyse_chain(Shaper().shape(chain), Position(7, 3), 0.065, NOW)


def test_the_answer_names_its_chain_its_model_and_its_inputs() -> None:
    chain = small_chain("NIFTY", 5)
    found = analysed(chain)
    assert (found.index, found.epoch, found.sequence, found.model) == ("NIFTY", 7, 3, MODEL)
    assert (from_timestamp(found.event_time), from_timestamp(found.computed_time)) == (chain.event_time, NOW)
    assert found.spot_inr == chain.spot_inr
    first, second = found.expiries
    assert (first.expiry, list(first.buckets), first.lot_size) == ("2026-08-18", ["this_week"], 65)
    assert list(first.strike_inr) == chain.expiries[0].strike_inr.tolist()
    assert list(first.atm_offset) == [-1, 0, 1]
    for each in (first, second):
        assert each.summary.rate_per_year == 0.065
        assert (each.summary.expiry, each.summary.lot_size) == (each.expiry, 65)
        columns = [getattr(side, name) for side in (each.call, each.put) for name in _legs()]
        assert {len(values) for values in columns} == {3}


def test_time_runs_from_the_chain_s_own_instant_to_the_close_of_the_expiry_day() -> None:
    first, second = analysed(small_chain()).expiries
    assert first.summary.years == pytest.approx(6.25 / 24 / 365)  # 09:15 to 15:30 IST
    assert second.summary.years - first.summary.years == pytest.approx(7 / 365)


def test_totals_are_the_sums_of_the_expiries() -> None:
    found = analysed(small_chain())
    total = found.summary
    assert total.call_open_interest_units == sum(e.summary.call_open_interest_units for e in found.expiries) == 12_780
    assert total.put_open_interest_units == sum(e.summary.put_open_interest_units for e in found.expiries) == 24_780
    assert total.pcr_open_interest == pytest.approx(24_780 / 12_780)
    assert total.pcr_volume == pytest.approx(total.put_volume_units / total.call_volume_units)
    statuses = [code for e in found.expiries for side in (e.call, e.put) for code in side.status]
    assert total.solved_count + total.unsolved_count == len(statuses) == 12
    assert total.solved_count == statuses.count(pb.LEG_STATUS_OK) > 0


def test_a_leg_without_a_price_counts_neither_as_solved_nor_as_unsolved() -> None:
    chain = small_chain()
    silent = Legs.unknown(3)
    expiries = tuple(replace(each, put=silent) for each in chain.expiries)
    found = analysed(replace(chain, expiries=expiries))
    assert found.summary.solved_count + found.summary.unsolved_count == 6
    assert math.isnan(found.summary.pcr_open_interest)
    for each in found.expiries:
        assert all(math.isnan(value) for value in each.put.implied_vol)
        assert pb.LEG_STATUS_OK not in list(each.put.status)


def test_an_empty_chain_has_no_number_that_was_made_up() -> None:
    found = analysed(replace(small_chain(), expiries=()))
    assert not found.expiries
    assert (found.summary.solved_count, found.summary.unsolved_count) == (0, 0)
    assert math.isnan(found.summary.pcr_open_interest)
    assert math.isnan(found.summary.pcr_volume)


def test_an_unknown_spot_stays_unknown() -> None:
    assert math.isnan(analysed(replace(small_chain(), spot_inr=math.nan)).spot_inr)


def test_columns_that_contradict_each_other_are_an_error() -> None:
    chain = Shaper().shape(small_chain())
    short = replace(chain.expiries[0].call, last_inr=column(np.ones(2)))
    broken = replace(chain, expiries=(replace(chain.expiries[0], call=short), *chain.expiries[1:]))
    with pytest.raises(ValueError):  # noqa: PT011  # whatever its words
        analyse_chain(broken, Position(7, 3), 0.065, NOW)


def _legs() -> list[str]:
    return [field.name for field in pb.LegAnalytics.DESCRIPTOR.fields]
