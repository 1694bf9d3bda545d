"""Opens the feed that the settings name."""

from __future__ import annotations

from optrading.collection.feeds.base import Feed, FeedError
from optrading.collection.feeds.replay import ReplayFeed, open_recording, parse_speed
from optrading.collection.feeds.synthetic import SyntheticFeed
from optrading.collection.settings import CollectionSettings, FeedName, ReplayEnd
from optrading.common.clock import Clock


def open_feed(settings: CollectionSettings, clock: Clock) -> Feed:
    """Return the feed, checked as far as it can be before anything is collected.

    Raises:
        FeedError: A recording is missing, damaged or of another shape, or a setting cannot be right.
    """
    if settings.feed is FeedName.SYNTHETIC:
        return SyntheticFeed(
            clock=clock,
            seed=settings.synthetic_seed,
            indices=tuple(name.strip().upper() for name in settings.synthetic_indices.split(",") if name.strip()),
            cut_interval_s=settings.cut_interval_s,
        )
    if settings.recording is None:
        raise FeedError("FEED=replay needs RECORDING=<file>: Parquet, CSV or NSE option-chain JSON")
    try:
        speed = parse_speed(settings.speed)
    except ValueError as error:
        raise FeedError(f"SPEED: {error}") from None
    recording = open_recording(settings.recording, lot_size=settings.replay_lot_size)
    return ReplayFeed(recording, clock=clock, speed=speed, loop=settings.replay_end is ReplayEnd.LOOP)
