from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from optrading.market.buckets import BUCKETS, assign_buckets, buckets_of
from optrading.market.indices import INDICES, lot_size

DAY = date(2026, 8, 18)


def days(*text: str) -> list[date]:
    return [date.fromisoformat(each) for each in text]


@pytest.fixture(scope="module")
def dump(real_data: Path) -> dict[str, tuple[list[date], set[int]]]:
    """Listed expiries and their lot sizes by index, from the exchanges' instruments of mid-August 2026."""
    expiries: dict[str, set[date]] = defaultdict(set)
    lots: dict[str, set[int]] = defaultdict(set)
    with (real_data / "kite_instruments" / "instruments_full.csv").open() as file:
        for row in csv.DictReader(file):
            if row["instrument_type"] in ("CE", "PE") and row["name"] in INDICES:
                expiries[row["name"]].add(date.fromisoformat(row["expiry"]))
                lots[row["name"]].add(int(row["lot_size"]))
    return {name: (sorted(expiries[name]), lots[name]) for name in expiries}


def test_a_week_of_an_index_with_weeklies_is_the_nearest_expiry_and_the_one_after_it() -> None:
    listed = days("2026-08-25", "2026-09-01", "2026-09-08", "2026-09-29")
    assert assign_buckets(listed, date(2026, 8, 26)) == {
        "this_week": date(2026, 9, 1),
        "next_week": date(2026, 9, 8),
        "this_month": date(2026, 9, 29),
    }


def test_an_expiry_day_still_belongs_to_its_own_week() -> None:
    assert assign_buckets(days("2026-08-18", "2026-08-25"), DAY)["this_week"] == DAY


@pytest.mark.parametrize(
    ("ahead_days", "bucket"), [(0, "this_week"), (6, "this_week"), (7, "next_week"), (13, "next_week"), (14, None)]
)
def test_without_weeklies_a_week_has_an_expiry_only_when_one_is_that_near(ahead_days: int, bucket: str | None) -> None:
    expiry = DAY + timedelta(days=ahead_days)
    weeks = {b for b, e in assign_buckets([expiry, expiry + timedelta(days=28)], DAY).items() if b.endswith("week")}
    assert weeks == ({bucket} if bucket else set())


def test_thirteen_days_apart_are_weeklies_and_fourteen_are_not() -> None:
    far = DAY + timedelta(days=40)
    assert "this_week" in assign_buckets([far, far + timedelta(days=13)], DAY)
    assert "this_week" not in assign_buckets([far, far + timedelta(days=14)], DAY)


def test_a_monthly_expiry_is_the_last_listed_of_its_month_and_may_be_a_weekly_too() -> None:
    found = buckets_of(days("2026-08-18", "2026-08-25", "2026-09-01", "2026-09-29"), DAY)
    assert found[date(2026, 8, 25)] == ("next_week", "this_month")
    assert found[date(2026, 9, 29)] == ("next_month",)
    assert found[date(2026, 9, 1)] == ()


def test_what_has_expired_answers_to_nothing() -> None:
    assert buckets_of(days("2026-08-11", "2026-08-18"), DAY) == {
        date(2026, 8, 11): (),
        date(2026, 8, 18): ("this_week", "this_month"),
    }


def test_nothing_listed_gives_no_bucket() -> None:
    assert assign_buckets([], DAY) == {}


@given(st.lists(st.dates(DAY - timedelta(days=60), DAY + timedelta(days=400)), max_size=20), st.randoms())
def test_buckets_are_ordered_ahead_and_do_not_depend_on_the_order_of_the_list(listed: list[date], random) -> None:
    found = assign_buckets(listed, DAY)
    assert set(found) <= set(BUCKETS)
    assert all(expiry >= DAY and expiry in listed for expiry in found.values())
    for early, late in (("this_week", "next_week"), ("this_month", "next_month")):
        if early in found and late in found:
            assert found[early] < found[late]
    assert ("this_month" in found) == any(expiry >= DAY for expiry in listed)
    shuffled = list(listed)
    random.shuffle(shuffled)
    assert assign_buckets(shuffled, DAY) == found


@pytest.mark.parametrize(
    ("index", "weeks"),
    [
        ("NIFTY", {"this_week": "2026-08-18", "next_week": "2026-08-25", "this_month": "2026-08-25"}),
        ("BANKNIFTY", {"this_week": None, "next_week": "2026-08-25", "this_month": "2026-08-25"}),
        ("FINNIFTY", {"this_week": None, "next_week": "2026-08-25", "this_month": "2026-08-25"}),
        ("MIDCPNIFTY", {"this_week": None, "next_week": "2026-08-25", "this_month": "2026-08-25"}),
        ("SENSEX", {"this_week": "2026-08-20", "next_week": "2026-08-27", "this_month": "2026-08-27"}),
        ("BANKEX", {"this_week": None, "next_week": "2026-08-27", "this_month": "2026-08-27"}),
    ],
)
def test_the_exchange_s_own_listing_of_18_august_2026(
    dump: dict[str, tuple[list[date], set[int]]], index: str, weeks: dict[str, str | None]
) -> None:
    found = assign_buckets(dump[index][0], DAY)
    assert {name: str(found[name]) if name in found else None for name in weeks} == weeks
    assert found["next_month"] > found["this_month"]


def test_our_lot_sizes_are_those_of_the_exchange(dump: dict[str, tuple[list[date], set[int]]]) -> None:
    assert {name: {lot_size(name, DAY)} for name in INDICES} == {name: lots for name, (_, lots) in dump.items()}
