from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np

from optrading.collection.hours import market_calendar
from optrading.collection.settings import CollectionSettings, FeedName
from optrading.market.clock import IST
from optrading.market.window import StrikeWindow
from tests.chains import OPENING, THIS_WEEK

SECOND = timedelta(seconds=1)
LADDER = np.arange(24_000.0, 26_001.0, 50.0)


def select(**settings: object) -> list[list[float]]:
    """Return what is active at four instants of a spot that moves by more than half a step and comes back."""
    window = StrikeWindow(CollectionSettings(**settings).window())
    return [
        LADDER[window.update(OPENING + second * SECOND, spot_inr, {THIS_WEEK: LADDER})[THIS_WEEK]].tolist()
        for second, spot_inr in ((0, 24_950.0), (1, 24_980.0), (250, 24_960.0), (600, 24_960.0))
    ]


def test_which_strikes_are_collected_is_a_setting() -> None:
    assert [len(strikes) for strikes in (select()[0], select(feature_extended_analysis=True)[0])] == [5, 11]
    assert select(active_strike_offsets="-1,3")[0] == [24_900.0, 25_100.0]
    assert select(active_strike_offsets="all")[0] == LADDER.tolist()


def test_how_long_a_strike_stays_is_a_setting() -> None:
    assert select(active_strike_offsets="0") == [[24_950.0], [24_950.0, 25_000.0], [24_950.0, 25_000.0], [24_950.0]]
    assert select(active_strike_offsets="0", strike_overlap_s=0)[2] == [24_950.0]
    assert select(active_strike_offsets="0", strike_overlap_s=500)[3] == [24_950.0, 25_000.0]


def test_when_the_strikes_follow_the_spot_is_a_setting() -> None:
    def centre(margin: float) -> float:
        window = StrikeWindow(CollectionSettings(recentre_margin=margin).window())
        for spot_inr in (24_950.0, 24_980.0):
            window.update(OPENING, spot_inr, {THIS_WEEK: LADDER})
        return window.centres()[THIS_WEEK]

    assert [centre(margin) for margin in (0.0, 0.05, 0.25, 0.5)] == [25_000.0, 25_000.0, 24_950.0, 24_950.0]


def test_a_holiday_file_goes_over_the_calendar_of_a_live_feed(tmp_path: Path) -> None:
    path = tmp_path / "holidays.txt"
    path.write_text("2026-08-19 closed a flood\n")
    calendar = market_calendar(CollectionSettings(feed=FeedName.KITE, holiday_file=path), OPENING)
    assert calendar is not None
    assert calendar.session(date(2026, 8, 19)) is None
    assert calendar.is_open(datetime(2026, 8, 20, 12, 0, tzinfo=IST))
