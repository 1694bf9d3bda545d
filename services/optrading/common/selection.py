"""What `bucket` and `expiry` in a request mean, the same for every service."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date

from optrading.common.errors import InvalidArgument, NotFound, Unavailable, one_of, shown
from optrading.market.buckets import BUCKETS, NEXT_WEEK, THIS_WEEK

NO_EXPIRY = "none"
"""No listed expiry has this name: a chain cut to it has no expiries."""


def check_index(index: str, known: Collection[str]) -> None:
    """Refuse an index that is not known.

    Raises:
        NotFound: UNKNOWN_INDEX, naming those that are.
    """
    if index not in known:
        raise NotFound(
            f"index {shown(index)} is not known here; known: {one_of(sorted(known))}",
            reason="UNKNOWN_INDEX",
            field="index",
        )


def no_chain_yet(index: str) -> Unavailable:
    """Return the error for a known index of which nothing can be shown so far."""
    return Unavailable(f"{index} has no chain yet", reason="NO_CHAIN_YET", retry_after_s=1.0)


def check_expiry_choice(bucket: str, expiry: str) -> date | None:
    """Refuse a bucket or an expiry that can never be right.

    Returns:
        The expiry as a date; None when none was given.

    Raises:
        InvalidArgument: UNKNOWN_BUCKET, INVALID_EXPIRY or BUCKET_AND_EXPIRY.
    """
    if bucket and expiry:
        raise InvalidArgument("give bucket or expiry, not both", reason="BUCKET_AND_EXPIRY", field="expiry")
    if bucket and bucket not in BUCKETS:
        raise InvalidArgument(
            f"bucket {shown(bucket)} is not one of {one_of(BUCKETS)}", reason="UNKNOWN_BUCKET", field="bucket"
        )
    if not expiry:
        return None
    try:
        day = date.fromisoformat(expiry)
    except ValueError:
        day = None
    if day is None or day.isoformat() != expiry:
        raise InvalidArgument(
            f"expiry {shown(expiry)} is not a day such as 2026-08-25", reason="INVALID_EXPIRY", field="expiry"
        )
    return day


def choose_expiry(index: str, listed: Mapping[str, Collection[str]], bucket: str, expiry: str) -> str | None:
    """Return which of the listed expiries is asked for; None for all of them.

    Args:
        index: For the message only.
        listed: Buckets by listed expiry (YYYY-MM-DD).
        bucket: As in the request; empty when not given.
        expiry: As in the request; empty when not given.

    Raises:
        InvalidArgument: As `check_expiry_choice`.
        NotFound: UNKNOWN_EXPIRY, NO_WEEKLY_EXPIRY or NO_MONTHLY_EXPIRY, naming what is listed.
    """
    check_expiry_choice(bucket, expiry)
    names = one_of(sorted(listed))
    if expiry and expiry not in listed:
        raise NotFound(f"{index} has no expiry {expiry}; listed: {names}", reason="UNKNOWN_EXPIRY", field="expiry")
    if not bucket:
        return expiry or None
    for day, buckets in listed.items():
        if bucket in buckets:
            return day
    reason = "NO_WEEKLY_EXPIRY" if bucket in (THIS_WEEK, NEXT_WEEK) else "NO_MONTHLY_EXPIRY"
    raise NotFound(f"{index} has no expiry in {bucket}; listed: {names}", reason=reason, field="bucket")


def expiry_in(listed: Mapping[str, Collection[str]], bucket: str, expiry: str) -> str | None:
    """Return which expiry of a chain in a stream is meant, where one that is gone is no error.

    Returns:
        The expiry; None for all; `NO_EXPIRY` when it is not listed, or none is in the bucket.
    """
    if bucket:
        return next((day for day, buckets in listed.items() if bucket in buckets), NO_EXPIRY)
    if expiry:
        return expiry if expiry in listed else NO_EXPIRY
    return None
