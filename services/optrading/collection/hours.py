"""When the market of the feed that the settings name is open."""

from __future__ import annotations

from datetime import datetime

from optrading.collection.settings import CollectionSettings, FeedName, MarketHours
from optrading.common.exchange_calendar import load_calendar
from optrading.market.calendar import AlwaysOpen, TradingCalendar
from optrading.market.clock import trading_date


def market_calendar(settings: CollectionSettings, now: datetime) -> TradingCalendar | None:
    """Return the calendar of the settings' feed; blocks for half a second where the exchanges' is needed.

    Returns:
        None where our clock says nothing of the market: a recording is never late and never closed.

    Raises:
        HolidayFileError: `HOLIDAY_FILE` cannot be read.
    """
    if settings.feed is FeedName.REPLAY or settings.market_hours is MarketHours.RECORDED:
        return None
    if settings.feed is FeedName.SYNTHETIC or settings.market_hours is MarketHours.ALWAYS:
        return AlwaysOpen()
    year = trading_date(now).year
    # The year before for what was missed over New Year, the one after for sessions to come.
    return load_calendar(year - 1, year + 1, settings.holiday_file)
