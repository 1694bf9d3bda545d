"""Which listed expiry answers to `this_week`, `next_week`, `this_month` and `next_month` on a given day.

Buckets come from what is listed, never from weekday rules: expiries move with holidays, and indices gain and lose
weeklies. One expiry can answer to several buckets.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import pairwise

THIS_WEEK = "this_week"
NEXT_WEEK = "next_week"
THIS_MONTH = "this_month"
NEXT_MONTH = "next_month"
BUCKETS: tuple[str, ...] = (THIS_WEEK, NEXT_WEEK, THIS_MONTH, NEXT_MONTH)
"""Every bucket, in the order of their time."""

_WEEKLIES_CLOSER_THAN = timedelta(days=14)
_WEEK = timedelta(days=7)


def assign_buckets(expiries: Sequence[date], day: date) -> dict[str, date]:
    """Return the expiry of each bucket that there is on `day`.

    Args:
        expiries: The listed expiries, in any order; those before `day` still tell which expiry is a monthly one.
        day: The snapshot's own date in India.

    Returns:
        Expiry by bucket. An index with weeklies (two listed expiries less than 14 days apart) has `this_week`, the
        nearest expiry on or after `day`, and `next_week`, the one after it. Otherwise a week's bucket exists only
        where an expiry lies 0-6 or 7-13 days ahead. `this_month` and `next_month` are the nearest and the second
        monthly expiry, a monthly one being the last listed of its calendar month.
    """
    listed = sorted(set(expiries))
    ahead = [expiry for expiry in listed if expiry >= day]
    found: dict[str, date] = {}
    if any(later - earlier < _WEEKLIES_CLOSER_THAN for earlier, later in pairwise(listed)):
        found.update(zip((THIS_WEEK, NEXT_WEEK), ahead, strict=False))
    else:
        for expiry in reversed(ahead):
            if expiry - day < _WEEK:
                found[THIS_WEEK] = expiry
            elif expiry - day < 2 * _WEEK:
                found[NEXT_WEEK] = expiry
    last_of_month = {(expiry.year, expiry.month): expiry for expiry in listed}
    found.update(zip((THIS_MONTH, NEXT_MONTH), [e for e in ahead if e in last_of_month.values()], strict=False))
    return found


def buckets_of(expiries: Sequence[date], day: date) -> dict[date, tuple[str, ...]]:
    """Return, for every listed expiry, the buckets it answers to on `day`, in the order of `BUCKETS`."""
    assigned = assign_buckets(expiries, day)
    return {expiry: tuple(b for b in BUCKETS if assigned.get(b) == expiry) for expiry in expiries}
