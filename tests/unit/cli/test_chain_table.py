"""Tables of chains and Greeks."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, ConsoleDimensions, RenderableType

from optrading.analytics.v1 import analytics_service_pb2 as analytics_pb
from optrading.cli.chain_table import chain_table, greeks_table, rows_near_the_money
from optrading.cli.queries import Selection, shown_expiries
from optrading.cli.watching import Update, line_of, live_table
from optrading.market.chain import Position
from tests.chains import small_message

NAN = float("nan")


def text_of(table: RenderableType, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_only_strikes_near_the_money_are_shown() -> None:
    assert rows_near_the_money([-2, -1, 0, 1, 2], 1) == [1, 2, 3]
    assert rows_near_the_money([-2, -1, 0, 1, 2], 0) == [2]


def test_calls_are_left_puts_are_right_and_both_are_mirrored() -> None:
    chain = small_message(Position(1, 1))
    lines = text_of(chain_table(chain, chain.expiries[0], 10, 160), 160)
    assert lines[0].startswith("NIFTY 24,951.51   18 Aug 2026 09:16:00 IST   expiry 2026-08-18")
    assert lines[1].split() == (
        ["OI", "change", "volume", "bid", "ask", "last", "strike", "last", "ask", "bid", "volume", "change", "OI"]
    )
    first = lines[2].split()
    assert (first[0], first[2], first[6], first[-3], first[-1]) == ("2,000", "1,000", "24,900", "2,000", "4,000")


@pytest.mark.parametrize("width", [80, 120, 160])
def test_no_cell_of_a_chain_is_cut_off(width: int) -> None:
    chain = small_message(Position(1, 1))
    for legs in (chain.expiries[0].call, chain.expiries[0].put):
        legs.open_interest_units[:] = [31_797_610.0] * 3
        legs.volume_units[:] = [2_403_900_655.0] * 3
        legs.open_interest_change_units[:] = [-14_112_930.0] * 3
    lines = text_of(chain_table(chain, chain.expiries[0], 10, width), width)
    assert "…" not in "".join(lines)
    assert all(any(strike in line for line in lines) for strike in ("24,900", "24,950", "25,000"))


def test_the_title_is_as_wide_as_the_terminal_not_as_the_columns() -> None:
    chain = small_message(Position(1, 1))
    chain.expiries[0].buckets[:] = ["this_week"]
    chain.expiries[0].lot_size = 75
    title = text_of(chain_table(chain, chain.expiries[0], 10, 100), 100)[0]
    assert title.endswith("expiry 2026-08-18 (this_week)   lot 75")


@pytest.mark.parametrize(("height", "rows"), [(24, 3), (9, 3), (7, 1), (3, 1)])
def test_a_live_table_has_no_more_strikes_than_the_terminal_has_lines_for(height: int, rows: int) -> None:
    chain = small_message(Position(1, 1))
    chain.expiries[0].atm_offset[:] = [-1, 0, 1]
    update = Update(chain, 0)
    table = live_table(update, Selection("NIFTY"), ConsoleDimensions(80, height))
    assert sum(any(strike in line for strike in ("24,900", "24,950 ", "25,000")) for line in text_of(table, 80)) == rows


def test_a_line_names_the_expiry_when_there_is_but_one() -> None:
    chain = small_message(Position(1, 1))
    assert line_of(Update(chain, 0)).endswith(f"{len(chain.expiries)} expiries, 6 strikes")
    del chain.expiries[1:]
    assert line_of(Update(chain, 2)).endswith("expiry 2026-08-18, 3 strikes  2 skipped")


def test_a_leg_without_a_volatility_shows_why() -> None:
    side = analytics_pb.LegAnalytics(
        price_inr=[60.0, NAN],
        implied_vol=[0.125, NAN],
        status=[analytics_pb.LEG_STATUS_OK, analytics_pb.LEG_STATUS_NO_TRADE],
        delta=[0.5, NAN],
        gamma_per_inr=[0.001, NAN],
        theta_inr_per_day=[-9.5, NAN],
        vega_inr_per_vol_point=[12.0, NAN],
    )
    summary = analytics_pb.ExpirySummary(
        forward_inr=24_960.5, forward_source=analytics_pb.FORWARD_SOURCE_SPOT_CARRY, atm_implied_vol=0.125
    )
    expiry = analytics_pb.ExpiryAnalytics(
        expiry="2026-08-25", strike_inr=[24_950, 25_000], atm_offset=[0, 1], call=side, put=side, summary=summary
    )
    analytics = analytics_pb.AnalyticsSnapshot(index="NIFTY", spot_inr=24_951.5, expiries=[expiry])
    lines = text_of(greeks_table(analytics, expiry, 5, 160), 160)
    assert "12.50 %  24,950   12.50 %" in lines[2]
    assert "no trade  25,000  no trade" in lines[3]
    assert lines[-1].startswith("forward 24,960.50 (spot carry)   ATM IV 12.50 %")


def test_without_a_wish_the_nearest_expiry_that_had_not_expired_is_shown() -> None:
    chain = small_message(Position(1, 1))
    assert [each.expiry for each in shown_expiries(chain, chain.expiries, Selection("NIFTY"))] == ["2026-08-18"]
    chain.event_time.seconds += 7 * 3600
    assert [each.expiry for each in shown_expiries(chain, chain.expiries, Selection("NIFTY"))] == ["2026-08-25"]
    chain.event_time.seconds += 30 * 86_400
    assert [each.expiry for each in shown_expiries(chain, chain.expiries, Selection("NIFTY"))] == ["2026-08-25"]
    assert len(shown_expiries(chain, chain.expiries, Selection("NIFTY", bucket="this_week"))) == 2
