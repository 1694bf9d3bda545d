"""What `optrading gaps` shows, and what it takes for a time."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from optrading.analytics.v1 import analytics_service_pb2 as analytics_pb
from optrading.cli.chain_table import chain_table, shortfall
from optrading.cli.errors import CommandError
from optrading.cli.formatting import part
from optrading.cli.gaps import gap_table, read_instant
from optrading.cli.status import IndexStatus
from optrading.cli.status_table import shortfalls
from optrading.collection.v1 import collection_service_pb2 as collection_pb
from optrading.market.chain import Position
from optrading.market.codec import to_timestamp
from optrading.market.v1 import chain_pb2, gap_pb2
from tests.chains import OPENING, small_message

NAN = float("nan")


def gap(lasted_s: float | None, **fields: Any) -> gap_pb2.Gap:
    found = gap_pb2.Gap(index="NIFTY", cause=gap_pb2.GAP_CAUSE_DISCONNECT, start_time=to_timestamp(OPENING))
    found.MergeFrom(gap_pb2.Gap(**fields))
    if lasted_s is not None:
        found.end_time.CopyFrom(to_timestamp(OPENING + timedelta(seconds=lasted_s)))
    return found


def rows(*gaps: gap_pb2.Gap) -> list[str]:
    output = io.StringIO()
    Console(width=160, file=output, color_system=None).print(gap_table(gaps))
    return output.getvalue().splitlines()[1:]


def test_a_gap_is_shown_with_its_cause_its_length_and_its_repair() -> None:
    filled = gap(200, repair=gap_pb2.GAP_REPAIR_BACKFILLED, backfilled_chain_count=3, detail="connection lost")
    row = " ".join(rows(filled)[0].split())
    assert row == "18 Aug 2026 09:15:00 IST 3 min 20 s disconnect all filled, 3 chains connection lost"


def test_a_gap_that_lasts_is_open_and_one_of_single_legs_says_how_many() -> None:
    assert " ".join(rows(gap(None, leg_count=12))[0].split()).endswith("IST open disconnect 12 –")


@pytest.mark.parametrize("cause", gap_pb2.GapCause.values())
@pytest.mark.parametrize("repair", gap_pb2.GapRepair.values())
def test_every_cause_and_repair_has_words(cause: gap_pb2.GapCause.ValueType, repair: gap_pb2.GapRepair.ValueType):
    shown = rows(gap(1, cause=cause, repair=repair))[0]
    assert "GAP_" not in shown
    assert "…" not in shown


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-08-18T09:15", OPENING),
        ("2026-08-18 09:15:00+05:30", OPENING),
        ("2026-08-18T03:45Z", OPENING),
        ("2026-08-18", datetime(2026, 8, 17, 18, 30, tzinfo=UTC)),
    ],
)
def test_a_time_without_an_offset_is_indias(text: str, instant: datetime) -> None:
    assert read_instant(text, "--since") == to_timestamp(instant)


def test_no_time_is_no_bound_and_what_is_no_time_is_refused() -> None:
    assert read_instant("", "--since") is None
    with pytest.raises(CommandError, match="--until 'noon' is neither"):
        read_instant("noon", "--until")


@pytest.mark.parametrize(
    ("completeness", "said"),
    [
        (chain_pb2.Completeness(wanted_leg_count=5, known_leg_count=5, ratio=1.0), ""),
        (chain_pb2.Completeness(ratio=0.984), "98.40 % complete"),
        (chain_pb2.Completeness(ratio=0.999_99), "99.99 % complete"),
        (chain_pb2.Completeness(ratio=1.0, open_gap_count=1), "1 gap open"),
        (chain_pb2.Completeness(ratio=NAN, open_gap_count=2), "no leg known, 2 gaps open"),
    ],
)
def test_what_a_chain_lacks_is_said_in_its_title_and_below_the_live_table(
    completeness: chain_pb2.Completeness, said: str
) -> None:
    assert shortfall(completeness) == said
    chain = small_message(Position(1, 1))
    chain.completeness.CopyFrom(completeness)
    output = io.StringIO()
    Console(width=160, file=output, color_system=None).print(chain_table(chain, chain.expiries[0], 1, 160))
    title = output.getvalue().splitlines()[0].rstrip()
    assert title.endswith(said or "lot 65")
    summary = analytics_pb.GetSummaryResponse(index="NIFTY", completeness=completeness)
    lines = shortfalls([IndexStatus(collection_pb.IndexListing(index="NIFTY"), None, summary)])
    assert lines == ([f"NIFTY: {said}; see `optrading gaps NIFTY`"] if said else [])


def test_a_chain_that_does_not_say_how_complete_it_is_is_taken_as_it_is() -> None:
    summary = analytics_pb.GetSummaryResponse(index="NIFTY")
    listing = collection_pb.IndexListing(index="NIFTY")
    assert shortfalls([IndexStatus(listing, None, summary), IndexStatus(listing, None, None)]) == []


def test_only_what_is_whole_is_a_hundred_percent() -> None:
    assert (part(1.0), part(0.999_999), part(0.0)) == ("100.00 %", "99.99 %", "0.00 %")
