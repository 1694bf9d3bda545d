"""The six indices: their exchange, the names sources give them, their lot sizes over time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Index:
    """An index with listed options.

    Attributes:
        symbol: Name used everywhere in this platform.
        exchange: `NSE` or `BSE`.
        strike_step_inr: Usual distance of near strikes, rupees. Ladders are walked as listed, never computed from it.
        lot_sizes: (first day, units in one contract), ascending; before the first day unknown.
        aliases: Other names in recordings.
        lists_weeklies: Whether the exchange lists weekly expiries (since November 2024 one index per exchange).
    """

    symbol: str
    exchange: str
    strike_step_inr: float
    lot_sizes: tuple[tuple[date, int], ...]
    aliases: tuple[str, ...] = ()
    lists_weeklies: bool = False


# Lot sizes: exchange circulars of October 2024 (index derivatives above 15 lakh rupees) and October 2025 (revision
# from the expiries after 30 December 2025 on); the last column agrees with Kite's instrument dump of August 2026.
_NOV_2024 = date(2024, 11, 20)
_APR_2025 = date(2025, 4, 25)
_DEC_2025 = date(2025, 12, 31)

INDICES: dict[str, Index] = {
    index.symbol: index
    for index in (
        Index(
            "NIFTY",
            "NSE",
            50.0,
            ((date(2024, 4, 26), 25), (_NOV_2024, 75), (_DEC_2025, 65)),
            ("NIFTY50", "NIFTY 50"),
            lists_weeklies=True,
        ),
        Index(
            "BANKNIFTY",
            "NSE",
            100.0,
            ((date(2023, 7, 1), 15), (_NOV_2024, 30), (_APR_2025, 35), (_DEC_2025, 30)),
            ("NIFTY BANK", "NIFTYBANK"),
        ),
        Index(
            "FINNIFTY",
            "NSE",
            50.0,
            ((date(2024, 4, 26), 25), (_NOV_2024, 65), (_DEC_2025, 60)),
            ("NIFTY FIN SERVICE", "NIFTYFINSERVICE"),
        ),
        Index(
            "MIDCPNIFTY",
            "NSE",
            25.0,
            ((date(2024, 4, 26), 50), (_NOV_2024, 120), (_APR_2025, 140), (_DEC_2025, 120)),
            ("NIFTY MID SELECT", "NIFTYMIDSELECT"),
        ),
        Index("SENSEX", "BSE", 100.0, ((date(2023, 5, 15), 10), (_NOV_2024, 20)), ("BSE SENSEX",), lists_weeklies=True),
        Index("BANKEX", "BSE", 100.0, ((date(2023, 5, 15), 15), (_NOV_2024, 30)), ("BSE BANKEX",)),
    )
}
"""By symbol."""

_BY_NAME = {name: index for index in INDICES.values() for name in (index.symbol, *index.aliases)}


def find_index(name: str) -> Index | None:
    """Return the index that a source calls `name` (any case), or None."""
    return _BY_NAME.get(name.strip().upper())


def lot_size(index: str, day: date) -> int:
    """Return the units in one contract of `index` on `day`; 0 when unknown."""
    known = INDICES.get(index)
    if known is None:
        return 0
    return max(((since, units) for since, units in known.lot_sizes if since <= day), default=(day, 0))[1]
