from __future__ import annotations

from datetime import timedelta

import pytest

from optrading.analytics.computation import analyse_chain
from optrading.analytics.result import Result
from optrading.analytics.v1 import analytics_service_pb2 as pb
from optrading.collection.shaping import Shaper
from optrading.common.selection import NO_EXPIRY
from optrading.market.chain import Position
from tests.chains import OPENING, small_chain


@pytest.fixture(scope="module")
def message() -> pb.AnalyticsSnapshot:
    return analyse_chain(Shaper().shape(small_chain()), Position(7, 3), 0.065, OPENING + timedelta(seconds=1))


def test_whole_answers_are_what_protobuf_would_have_made(message: pb.AnalyticsSnapshot) -> None:
    result = Result(message)
    assert result.position == (7, 3)
    assert result.listed == {"2026-08-18": ("this_week",), "2026-08-25": ("next_week", "this_month")}
    greeks = pb.GetGreeksResponse(analytics=message).SerializeToString()
    assert result.get_greeks_response(None) == greeks
    for skipped in (0, 1, 300):
        expected = pb.WatchAnalyticsResponse(analytics=message, skipped_count=skipped).SerializeToString()
        assert result.watch_analytics_response(None, skipped) == expected


@pytest.mark.parametrize("expiry", ["2026-08-18", "2026-08-25", NO_EXPIRY])
def test_an_answer_of_one_expiry_has_that_one_only_and_the_same_totals(
    message: pb.AnalyticsSnapshot, expiry: str
) -> None:
    result = Result(message)
    wanted = [each for each in message.expiries if each.expiry == expiry]
    cut = pb.GetGreeksResponse.FromString(result.get_greeks_response(expiry)).analytics
    assert list(cut.expiries) == wanted
    assert cut.summary == message.summary
    summary = pb.GetSummaryResponse.FromString(result.get_summary_response(expiry))
    assert list(summary.expiries) == [each.summary for each in wanted]
    assert summary.summary == message.summary
    assert (summary.index, summary.epoch, summary.sequence, summary.spot_inr) == ("NIFTY", 7, 3, message.spot_inr)
    assert len(message.expiries) == 2  # the shared message is as it was


def test_what_was_made_once_is_handed_out_again(message: pb.AnalyticsSnapshot) -> None:
    result = Result(message)
    for expiry in (None, "2026-08-18"):
        assert result.get_greeks_response(expiry) is result.get_greeks_response(expiry)
        assert result.get_summary_response(expiry) is result.get_summary_response(expiry)
