"""What `up` and `doctor` make of the services' answers."""

from __future__ import annotations

import io
import math
from datetime import UTC, datetime, timedelta

import pytest
from rich.console import Console

from optrading.analytics.v1 import analytics_service_pb2 as analytics_pb
from optrading.cli.doctor import Verdict, freshness, storage_lag
from optrading.cli.status import IndexStatus, replay_end
from optrading.cli.status_table import status_view
from optrading.collection.v1 import collection_service_pb2 as collection_pb
from optrading.market.codec import to_timestamp
from optrading.storage.v1 import storage_service_pb2 as storage_pb

NOON = datetime(2026, 8, 18, 6, 30, tzinfo=UTC)


def status(
    *,
    collected: int = 10,
    stored: int = 10,
    computed: int = 10,
    age_s: float = 0.5,
    finished: bool = False,
    epoch: int = 7,
) -> IndexStatus:
    listing = collection_pb.IndexListing(
        index="NIFTY",
        source="synthetic",
        latest_epoch=7 if collected else 0,
        latest_sequence=collected,
        spot_inr=24_623.45 if collected else math.nan,
        finished=finished,
    )
    if collected:
        listing.event_time.CopyFrom(to_timestamp(NOON))
        listing.clock_time.CopyFrom(to_timestamp(NOON + timedelta(seconds=age_s)))
    watermark = storage_pb.Watermark(index="NIFTY", epoch=epoch, sequence=stored, chain_count=stored, leg_count=40)
    expiries = [
        analytics_pb.ExpirySummary(expiry="2026-08-18", years=0, atm_strike_inr=24_600, max_pain_inr=24_650),
        analytics_pb.ExpirySummary(
            expiry="2026-08-25",
            years=0.02,
            atm_strike_inr=24_600,
            atm_implied_vol=0.1234,
            pcr_open_interest=0.66,
            max_pain_inr=24_700,
            forward_inr=24_640.5,
            forward_source=analytics_pb.FORWARD_SOURCE_PARITY,
        ),
    ]
    summary = analytics_pb.GetSummaryResponse(index="NIFTY", epoch=7, sequence=computed, expiries=expiries)
    return IndexStatus(listing, watermark if stored else None, summary if computed else None)


def test_the_front_expiry_is_the_nearest_that_has_not_expired() -> None:
    front = status().front
    assert front is not None
    assert front.expiry == "2026-08-25"
    assert status(computed=0).front is None


def test_what_was_stored_in_an_older_epoch_does_not_count_as_stored() -> None:
    assert (status(epoch=6).stored_sequence, status(epoch=6).is_stored) == (0, False)
    assert status().is_stored


@pytest.mark.parametrize(
    "unfinished", [{"stored": 9}, {"computed": 9}, {"finished": False}, {"collected": 0, "stored": 0, "computed": 0}]
)
def test_a_replay_has_ended_only_when_everything_is_stored_and_computed(unfinished: dict[str, int]) -> None:
    ended = status(finished=True)
    assert replay_end([ended]).startswith("replay finished: 10 chains of 10 collected and stored (NIFTY)")
    assert replay_end([ended, status(**{"finished": True, **unfinished})]) == ""
    assert replay_end([]) == ""


def test_what_was_played_before_does_not_count_in_the_end_of_a_replay() -> None:
    before, ended = status(collected=3, stored=3, computed=3, finished=True), status(finished=True)
    before.listing.latest_epoch = 6
    assert replay_end([before, ended]).startswith("replay finished: 10 chains of 10 collected and stored (NIFTY)")


@pytest.mark.parametrize(
    ("given", "verdict", "said"),
    [
        (status(), Verdict.OK, "0.5 s old"),
        (status(age_s=60), Verdict.FAIL, "1 min 0 s old"),
        (status(age_s=60, finished=True), Verdict.OK, "nothing more of it"),
        (status(collected=0, stored=0, computed=0), Verdict.WARN, "no chain yet"),
        (status(computed=0), Verdict.WARN, "no analytics yet"),
    ],
)
def test_freshness_follows_the_feeds_clock(given: IndexStatus, verdict: Verdict, said: str) -> None:
    finding = freshness(given)
    assert finding.verdict is verdict
    assert said in finding.line()


@pytest.mark.parametrize(
    ("stored", "verdict"), [(100, Verdict.OK), (75, Verdict.OK), (50, Verdict.FAIL), (0, Verdict.FAIL)]
)
def test_storage_may_be_a_little_behind(stored: int, verdict: Verdict) -> None:
    assert storage_lag(status(collected=100, stored=stored)).verdict is verdict


def shown(statuses: list[IndexStatus], width: int) -> str:
    output = io.StringIO()
    console = Console(width=width, file=output, color_system=None)
    console.print(status_view(statuses, ["12:00:01 storage started again"], "no answer", width))
    return output.getvalue()


def test_the_live_table_shows_what_a_trader_looks_at() -> None:
    text = shown([status()], 160)
    row = next(line for line in text.splitlines() if line.startswith("NIFTY"))
    figures = "24,623.45 12:00:00 10 10 40 25 Aug 24,600 12.34 % 0.66 24,700 24,640.50 parity 0.5 s"
    assert row.split() == ["NIFTY", *figures.split()]
    assert "storage started again" in text
    assert "no answer" in text


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_shows_fewer_columns_and_cuts_none(width: int) -> None:
    text = shown([status()], width)
    assert "…" not in text
    assert "max pain" not in text
    assert "12.34 %" in text


def test_before_the_first_chain_the_table_shows_that_nothing_is_known() -> None:
    row = next(line for line in shown([status(collected=0, stored=0, computed=0)], 160).splitlines() if "NIFTY" in line)
    assert row.split() == ["NIFTY", "–", "–", "0", "0", "0", "–", "–", "–", "–", "–", "–", "–"]
