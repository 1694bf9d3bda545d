"""What the broker remembers of an interval: a chain a minute, of the legs nearest to the money."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from optrading.collection.feeds.kite.instruments import Ladder
from optrading.collection.feeds.kite.market import KiteMarket
from optrading.collection.feeds.kite.packets import Int64s
from optrading.collection.feeds.kite.rest import BrokerError, Candle, KiteRest
from optrading.collection.feeds.kite.sessions import SessionSource
from optrading.collection.feeds.kite.settings import KiteSettings
from optrading.common.clock import Clock
from optrading.market.chain import Chain, ExpiryChain, Legs
from optrading.market.clock import trading_date
from optrading.market.strikes import atm_offsets

_MINUTE = timedelta(minutes=1)
_BETWEEN_CALLS_S = 0.35
"""The broker answers three questions a second."""
_LONGEST = timedelta(days=2)
"""A gap that is longer is filled from its end backwards so far."""


class KiteHistory:
    """Reads candles, slowly enough for the broker."""

    def __init__(self, settings: KiteSettings, sessions: SessionSource, market: KiteMarket, clock: Clock) -> None:
        """Ask as whoever is logged in, for contracts of `market`."""
        self._settings = settings
        self._sessions = sessions
        self._market = market
        self._clock = clock

    async def read(self, index: str, since: datetime, until: datetime) -> Sequence[Chain]:
        """Return the chains whose event times lie between two instants, both exclusive.

        The minute that begins at t is a chain of t plus a minute. Quotes and volumes are not in a candle.

        Raises:
            BrokerError: The broker cannot be asked now.
        """
        view, session = self._market.view(index), self._sessions.look()
        since = max(since, until - _LONGEST)
        if view is None or not self._settings.kite_backfill_legs or until - since <= _MINUTE:
            return ()
        if session is None:
            raise BrokerError("nobody is logged in; run `optrading kite login`")
        rest = await asyncio.to_thread(KiteRest, self._settings.kite_rest_url, session.api_key, session.access_token)
        spot = await self._candles(rest, view.token, since, until)
        middle = spot[-1].close_inr if spot else view.spot_inr
        legs = view.nearest(middle, trading_date(since), self._settings.kite_backfill_legs)
        minutes = sorted(candle.begins for candle in spot)
        values: dict[int, list[Candle]] = {}
        for token in sorted(
            {token for each in legs for token in (*each.call_token.tolist(), *each.put_token.tolist()) if token}
        ):
            values[token] = await self._candles(rest, token, since, until)
        spots = {candle.begins: candle.close_inr for candle in spot}
        return [
            self._chain(index, minute, spots[minute], legs, values)
            for minute in minutes
            if since < minute + _MINUTE < until
        ]

    async def _candles(self, rest: KiteRest, token: int, since: datetime, until: datetime) -> list[Candle]:
        await self._clock.sleep(_BETWEEN_CALLS_S)
        return await asyncio.to_thread(rest.candles, token, since - _MINUTE, until)

    def _chain(
        self,
        index: str,
        minute: datetime,
        spot_inr: float,
        legs: Sequence[Ladder],
        values: dict[int, list[Candle]],
    ) -> Chain:
        def side(tokens: Int64s) -> Legs:
            size = len(tokens)
            last, interest = np.full(size, np.nan), np.full(size, np.nan)
            for row, token in enumerate(tokens.tolist()):
                candle = next((each for each in values.get(token, ()) if each.begins == minute), None)
                if candle is not None:
                    last[row], interest[row] = candle.close_inr or np.nan, candle.open_interest_units
            nothing = np.full(size, np.nan)
            return Legs(last, nothing, nothing, nothing, interest, nothing)

        return Chain(
            index=index,
            event_time=minute + _MINUTE,
            receive_time=self._clock.now(),
            spot_inr=spot_inr,
            expiries=tuple(
                ExpiryChain(
                    expiry=each.expiry,
                    lot_size=each.lot_size,
                    strike_inr=each.strike_inr,
                    call=side(each.call_token),
                    put=side(each.put_token),
                    atm_offset=atm_offsets(each.strike_inr, spot_inr),
                )
                for each in legs
            ),
            source="kite",
        )
