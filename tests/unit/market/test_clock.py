from __future__ import annotations

from datetime import UTC, date, datetime

from optrading.market.clock import expiry_instant, trading_date


def test_contracts_expire_at_half_past_three_in_india() -> None:
    assert expiry_instant(date(2026, 8, 18)) == datetime(2026, 8, 18, 10, 0, tzinfo=UTC)


def test_the_day_is_the_one_in_india() -> None:
    assert trading_date(datetime(2026, 8, 17, 18, 29, 59, tzinfo=UTC)) == date(2026, 8, 17)
    assert trading_date(datetime(2026, 8, 17, 18, 30, tzinfo=UTC)) == date(2026, 8, 18)
