from __future__ import annotations

from datetime import date

import pytest

from optrading.common.errors import InvalidArgument, NotFound, ServiceError
from optrading.common.selection import NO_EXPIRY, check_expiry_choice, check_index, choose_expiry, expiry_in

LISTED = {"2026-08-18": ("this_week",), "2026-08-25": ("next_week", "this_month"), "2026-12-29": ()}
MONTHLY = {"2026-10-27": ("this_month",)}


def refusal(error: type[ServiceError], listed: dict[str, tuple[str, ...]], bucket: str, expiry: str) -> ServiceError:
    with pytest.raises(error) as caught:
        choose_expiry("NIFTY", listed, bucket, expiry)
    return caught.value


@pytest.mark.parametrize(
    ("bucket", "expiry", "chosen"),
    [
        ("", "", None),
        ("this_week", "", "2026-08-18"),
        ("this_month", "", "2026-08-25"),
        ("", "2026-12-29", "2026-12-29"),
    ],
)
def test_bucket_or_expiry_name_one_expiry_and_neither_names_all(bucket: str, expiry: str, chosen: str | None) -> None:
    assert choose_expiry("NIFTY", LISTED, bucket, expiry) == chosen
    assert expiry_in(LISTED, bucket, expiry) == chosen


@pytest.mark.parametrize(
    ("bucket", "expiry", "reason", "field"),
    [
        ("this_week", "2026-08-18", "BUCKET_AND_EXPIRY", "expiry"),
        ("THIS_WEEK", "", "UNKNOWN_BUCKET", "bucket"),
        ("", "soon", "INVALID_EXPIRY", "expiry"),
        ("", "2026-02-30", "INVALID_EXPIRY", "expiry"),
        ("", "20260818", "INVALID_EXPIRY", "expiry"),
        ("", "2026-W34-2", "INVALID_EXPIRY", "expiry"),
        ("", " 2026-08-18", "INVALID_EXPIRY", "expiry"),
    ],
)
def test_what_can_never_be_right_is_an_invalid_argument(bucket: str, expiry: str, reason: str, field: str) -> None:
    error = refusal(InvalidArgument, LISTED, bucket, expiry)
    assert (error.reason, error.field) == (reason, field)


@pytest.mark.parametrize(
    ("bucket", "expiry", "reason"),
    [
        ("this_week", "", "NO_WEEKLY_EXPIRY"),
        ("next_week", "", "NO_WEEKLY_EXPIRY"),
        ("next_month", "", "NO_MONTHLY_EXPIRY"),
        ("", "2026-08-18", "UNKNOWN_EXPIRY"),
    ],
)
def test_what_is_not_listed_is_not_found_and_the_answer_says_what_is(bucket: str, expiry: str, reason: str) -> None:
    error = refusal(NotFound, MONTHLY, bucket, expiry)
    assert error.reason == reason
    assert "2026-10-27" in error.message


def test_an_unknown_bucket_is_told_the_known_ones() -> None:
    error = refusal(InvalidArgument, LISTED, "week", "")
    assert all(name in error.message for name in ("this_week", "next_week", "this_month", "next_month"))


def test_an_unknown_index_is_told_the_known_ones() -> None:
    check_index("NIFTY", {"NIFTY"})
    with pytest.raises(NotFound, match="known: NIFTY, SENSEX") as caught:
        check_index("nifty", ["SENSEX", "NIFTY"])
    assert (caught.value.reason, caught.value.field) == ("UNKNOWN_INDEX", "index")


def test_in_a_stream_an_expiry_that_is_gone_is_no_error() -> None:
    assert expiry_in(MONTHLY, "this_week", "") == NO_EXPIRY
    assert expiry_in(MONTHLY, "", "2026-08-18") == NO_EXPIRY


def test_a_choice_without_a_listing_gives_the_day() -> None:
    assert check_expiry_choice("", "2026-08-18") == date(2026, 8, 18)
    assert check_expiry_choice("this_week", "") is None


def test_a_long_value_is_not_sent_back_and_what_is_allowed_is() -> None:
    with pytest.raises(NotFound, match="known: NIFTY") as index:
        check_index("N" * 900_000, ["NIFTY"])
    with pytest.raises(InvalidArgument, match="this_week") as bucket:
        check_expiry_choice("b" * 9000, "")
    with pytest.raises(InvalidArgument, match="2026-08-25") as expiry:
        check_expiry_choice("", "9" * 9000)
    assert max(len(caught.value.message) for caught in (index, bucket, expiry)) < 200
