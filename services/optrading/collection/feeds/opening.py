"""Opens the feed that the settings name."""

from __future__ import annotations

from optrading.collection.feeds.base import Feed, FeedError
from optrading.collection.feeds.replay import ReplayFeed, open_recording, parse_speed
from optrading.collection.feeds.synthetic import SyntheticFeed
from optrading.collection.hours import market_calendar
from optrading.collection.settings import CollectionSettings, FeedName, ReplayEnd
from optrading.common.clock import Clock


def open_kite(settings: CollectionSettings, clock: Clock) -> Feed:
    """Return the Kite feed of whoever is logged in.

    Raises:
        FeedError: There is no API key, nobody is logged in, or the session is over.
    """
    # Not at the top: it brings the broker's client along, which the other feeds do without.
    from optrading.collection.feeds.kite.feed import KiteFeed  # noqa: PLC0415
    from optrading.collection.feeds.kite.session import SessionFileError, read_session  # noqa: PLC0415

    if not settings.kite_api_key:
        raise FeedError("FEED=kite needs KITE_API_KEY, the key of your Kite Connect app; see docs/kite.md")
    try:
        session = read_session(settings.kite_folder())
    except SessionFileError as error:
        raise FeedError(str(error)) from None
    if session is None or session.api_key != settings.kite_api_key:
        raise FeedError("nobody is logged in to Kite with this API key; run `optrading kite login`")
    if not session.is_valid(clock.now()):
        raise FeedError(f"the Kite session ended at {session.valid_until:%F %T} UTC; run `optrading kite login`")
    return KiteFeed(
        settings,
        clock=clock,
        calendar=market_calendar(settings, clock.now()),
        cut_interval_s=settings.cut_interval_s,
        window=settings.window(),
    )


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
    if settings.feed is FeedName.KITE:
        return open_kite(settings, clock)
    if settings.recording is None:
        raise FeedError("FEED=replay needs RECORDING=<file>: Parquet, CSV or NSE option-chain JSON")
    try:
        speed = parse_speed(settings.speed)
    except ValueError as error:
        raise FeedError(f"SPEED: {error}") from None
    recording = open_recording(settings.recording, lot_size=settings.replay_lot_size)
    return ReplayFeed(recording, clock=clock, speed=speed, loop=settings.replay_end is ReplayEnd.LOOP)
