from __future__ import annotations

from pathlib import Path

import pytest

from optrading.collection.feeds.base import FeedError
from optrading.collection.feeds.opening import open_feed
from optrading.collection.feeds.replay import ReplayFeed
from optrading.collection.feeds.synthetic import SyntheticFeed
from optrading.collection.settings import CollectionSettings, FeedName, ReplayEnd
from optrading.testing.recordings import write_recording

from .quick_clock import QuickClock
from .same_chain import take


def test_the_synthetic_feed_needs_nothing() -> None:
    feed = open_feed(CollectionSettings(synthetic_seed=7, synthetic_indices="sensex, nifty"), QuickClock())
    assert isinstance(feed, SyntheticFeed)
    assert (feed.name, feed.identity, feed.indices) == ("synthetic", "synthetic-7", ("NIFTY", "SENSEX"))


async def test_the_replay_feed_plays_the_recording_as_the_settings_say(tmp_path: Path) -> None:
    path = tmp_path / "day.csv"
    write_recording(path, minutes=2, strikes=2)
    clock = QuickClock()
    settings = CollectionSettings(
        feed=FeedName.REPLAY, recording=path, speed="60x", replay_end=ReplayEnd.LOOP, replay_lot_size=10
    )
    feed = open_feed(settings, clock)
    assert isinstance(feed, ReplayFeed)
    chains = await take(feed.chains({}), 4)
    assert [chain.expiries[0].lot_size for chain in chains] == [10] * 4
    assert clock.slept_s == [1.0, 1.0, 1.0]


def test_a_replay_without_a_recording_is_refused() -> None:
    with pytest.raises(FeedError, match=r"needs RECORDING=<file>"):
        open_feed(CollectionSettings(feed=FeedName.REPLAY), QuickClock())


@pytest.mark.parametrize("speed", ["fast", "0", "1001", "nan", "-1", ""])
def test_an_impossible_speed_is_refused_before_the_recording_is_read(speed: str, tmp_path: Path) -> None:
    settings = CollectionSettings(feed=FeedName.REPLAY, recording=tmp_path / "none", speed=speed)
    with pytest.raises(FeedError, match=r"SPEED: .* allowed: 1 to 1000"):
        open_feed(settings, QuickClock())
