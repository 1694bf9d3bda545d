"""One index among the listed contracts: its ladders as rows of the book, its chain, and which tokens matter most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray

from optrading.collection.feeds.kite.book import NO_ROW, TokenBook
from optrading.collection.feeds.kite.instruments import Ladder
from optrading.market.chain import Chain, ExpiryChain, Floats, Legs
from optrading.market.clock import trading_date
from optrading.market.quality import QualityFlag
from optrading.market.strikes import atm_offsets
from optrading.market.window import Mask

Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True, eq=False)
class _Rung:
    """One expiry: its ladder, and the rows of its calls and puts."""

    ladder: Ladder
    call_row: Rows
    put_row: Rows


class IndexView:
    """Reads one index from the book."""

    def __init__(self, index: str, token: int, ladders: Sequence[Ladder], book: TokenBook) -> None:
        """See the contracts of `ladders`, and the index itself by its `token`."""
        self.index = index
        self.token = token
        self._book = book
        self._spot_row = int(book.rows_of(np.array([token]))[0])
        self._rungs = [_Rung(each, book.rows_of(each.call_token), book.rows_of(each.put_token)) for each in ladders]

    def rows(self) -> Rows:
        """Return every row that belongs to this index."""
        sides = (side for each in self._rungs for side in (each.call_row, each.put_row))
        rows = np.concatenate([np.array([self._spot_row], dtype=np.intp), *sides])
        listed: Rows = rows[rows != NO_ROW]
        return listed

    @property
    def spot_inr(self) -> float:
        """Return the value of the index, rupees; NaN before the first tick."""
        return float(self._book.last_inr[self._spot_row])

    def listed(self, day: date) -> Mapping[date, Floats]:
        """Return the listed strikes of the expiries that have not passed on `day`."""
        return {r.ladder.expiry: r.ladder.strike_inr for r in self._rungs if r.ladder.expiry >= day}

    def tokens(self, active: Mapping[date, Mask]) -> list[tuple[float, int]]:
        """Return the tokens of the active strikes, each with how far it is from what matters most.

        Near expiries and strikes near the money come first: the distance is the rank of the expiry plus the distance
        from the spot in parts of it. The index itself has -1.
        """
        spot = self.spot_inr
        found = [(-1.0, self.token)]
        for rank, rung in enumerate(each for each in self._rungs if each.ladder.expiry in active):
            mask = active[rung.ladder.expiry]
            strikes = rung.ladder.strike_inr[mask]
            middle = spot if not np.isnan(spot) else float(np.median(strikes)) if len(strikes) else 1.0
            distance = rank * 0.05 + np.abs(strikes / middle - 1)
            for tokens in (rung.ladder.call_token[mask], rung.ladder.put_token[mask]):
                found += [(d, t) for d, t in zip(distance.tolist(), tokens.tolist(), strict=True) if t]
        return found

    def nearest(self, spot_inr: float, day: date, leg_count: int) -> list[Ladder]:
        """Return the ladders of `day` cut to so many legs: near expiries and strikes near `spot_inr` first."""
        rungs = [each for each in self._rungs if each.ladder.expiry >= day]
        ranked = sorted(
            (rank * 0.05 + abs(strike / spot_inr - 1), rank, row)
            for rank, rung in enumerate(rungs)
            for row, strike in enumerate(rung.ladder.strike_inr.tolist())
        )[: leg_count // 2]
        found = []
        for rank, rung in enumerate(rungs):
            rows = np.array(sorted(row for _, of, row in ranked if of == rank), dtype=np.intp)
            if len(rows):
                ladder = rung.ladder
                found.append(
                    Ladder(
                        ladder.expiry,
                        ladder.lot_size,
                        ladder.strike_inr[rows],
                        ladder.call_token[rows],
                        ladder.put_token[rows],
                    )
                )
        return found

    def chain(self, event_s: int, receive_time: datetime, stale: NDArray[np.bool_], source: str) -> Chain:
        """Return the chain of now: every listed strike of every expiry that has not passed.

        Args:
            event_s: Its event time, seconds since 1970 UTC.
            receive_time: The present.
            stale: By row of the book: what it holds is from before its connection was lost.
            source: Name of the feed.
        """
        event_time = datetime.fromtimestamp(event_s, UTC)
        day = trading_date(event_time)
        spot_inr = self.spot_inr
        return Chain(
            index=self.index,
            event_time=event_time,
            receive_time=receive_time,
            spot_inr=spot_inr,
            expiries=tuple(
                ExpiryChain(
                    expiry=rung.ladder.expiry,
                    lot_size=rung.ladder.lot_size,
                    strike_inr=rung.ladder.strike_inr,
                    call=self._legs(rung.call_row, stale),
                    put=self._legs(rung.put_row, stale),
                    atm_offset=atm_offsets(rung.ladder.strike_inr, spot_inr),
                )
                for rung in self._rungs
                if rung.ladder.expiry >= day
            ),
            source=source,
            quality=QualityFlag.STALE if stale[self._spot_row] else QualityFlag(0),
        )

    def _legs(self, rows: Rows, stale: NDArray[np.bool_]) -> Legs:
        book = self._book
        listed = rows != NO_ROW
        heard = book.exchange_s[rows] > 0
        quality = np.zeros(len(rows), dtype=np.uint16)
        quality[listed & ~heard] = QualityFlag.INCOMPLETE.value
        quality[listed & heard & stale[rows]] = QualityFlag.STALE.value
        # Indexing copies: what the book learns later does not change this chain.
        return Legs(
            book.last_inr[rows],
            book.bid_inr[rows],
            book.ask_inr[rows],
            book.volume_units[rows],
            book.open_interest_units[rows],
            np.full(len(rows), np.nan),  # ticks do not carry the day before
            quality=quality,
        )
