"""The synthetic market: any index at any instant, from nothing but a seed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
from numpy.typing import NDArray

from optrading.collection.feeds.synthetic import activity, quotes, smile
from optrading.collection.feeds.synthetic.listing import listed_expiries, strike_ladder
from optrading.collection.feeds.synthetic.noise import MICROS_PER_SECOND, YEAR_S, mix, seed_keys, uniforms
from optrading.collection.feeds.synthetic.underlyings import UNDERLYINGS, Prices, Underlying
from optrading.market.chain import Chain, ExpiryChain, Floats, Legs
from optrading.market.clock import IST, expiry_instant, trading_date
from optrading.market.codec import to_micros
from optrading.market.indices import lot_size
from optrading.market.strikes import atm_offsets

SOURCE = "synthetic"
_DAY_MICROS = 86_400 * MICROS_PER_SECOND


@dataclass(frozen=True, slots=True, eq=False)
class Listing:
    """What does not change while the same contracts are listed on the same day; M strikes over all expiries.

    Attributes:
        day: Day in India.
        expiries: Ascending, shape (E,).
        strike_inr: Ladders one after another, shape (M,).
        expiry_row: Expiry of each strike, shape (M,).
        bounds: Expiry e has the strikes from bounds[e] to bounds[e + 1].
        expiry_micros: When each expires, microseconds since 1970, shape (E,).
        interest: What is usual for each leg on this day.
        lot_size: Units in one contract.
    """

    day: date
    expiries: tuple[date, ...]
    strike_inr: Floats
    expiry_row: NDArray[np.intp]
    bounds: tuple[int, ...]
    expiry_micros: NDArray[np.int64]
    interest: activity.Interest
    lot_size: int


@dataclass(frozen=True, slots=True, eq=False)
class FairPrices:
    """Prices before ticks and spreads; free of arbitrage within and across expiries.

    Attributes:
        listing: What they are prices of.
        spot_inr: Value of the index, rupees.
        years: Time to each expiry, shape (E,).
        forward_inr: Forward of each expiry, rupees, shape (E,).
        theta: Total variance at the money of each expiry, shape (E,).
        variance: Total implied variance of each strike, shape (M,).
        leg_inr: Fair prices, rupees per unit, shape (2, M), calls first.
    """

    listing: Listing
    spot_inr: float
    years: Floats
    forward_inr: Floats
    theta: Floats
    variance: Floats
    leg_inr: Floats


class SyntheticMarket:
    """Six indices with all their listed options. The same seed and instant always give the same chain.

    Not thread-safe: it remembers the day's listings. What it remembers changes no result.
    """

    def __init__(self, seed: int = 1) -> None:
        """Make the market of `seed`."""
        self._seed = seed
        self._prices = Prices(seed)
        self._listings: dict[str, Listing] = {}

    def fair_prices(self, symbol: str, instant: datetime) -> FairPrices:
        """Return the fair prices of an index's options at an instant, aware.

        Raises:
            KeyError: `symbol` is none of the six.
        """
        underlying = UNDERLYINGS[symbol]
        micros = to_micros(instant)
        listing = self._listing(underlying, instant)
        spot_inr = self._prices.spot_inr(symbol, micros)
        years = (listing.expiry_micros - micros) / MICROS_PER_SECOND / YEAR_S
        theta = smile.atm_variance(underlying.vol, self._prices.vol_factor(micros), years)
        forward_inr = smile.forwards(spot_inr, years)
        rows = listing.expiry_row
        variance = smile.total_variance(np.log(listing.strike_inr / forward_inr[rows]), theta[rows])
        legs = smile.prices(forward_inr[rows], listing.strike_inr, variance, years[rows])
        return FairPrices(listing, spot_inr, years, forward_inr, theta, variance, np.maximum(np.stack(legs), 0.0))

    def chain(self, symbol: str, instant: datetime, receive_time: datetime) -> Chain:
        """Return an index's whole chain at an instant, aware.

        Raises:
            KeyError: `symbol` is none of the six.
        """
        fair = self.fair_prices(symbol, instant)
        listing, interest = fair.listing, fair.listing.interest
        day_passed = (to_micros(instant) - _day_start_micros(listing.day)) / _DAY_MICROS
        traded = activity.volume_contracts(interest, day_passed)
        held, held_change = activity.open_interest_contracts(interest, listing.day.toordinal(), day_passed)

        rows = listing.expiry_row
        deviations = np.log(listing.strike_inr / fair.forward_inr[rows]) / np.sqrt(fair.theta[rows])
        half_inr = quotes.half_spread_inr(fair.leg_inr, deviations, UNDERLYINGS[symbol].illiquidity)
        bid_inr, ask_inr = quotes.quote(fair.leg_inr, half_inr)
        # A new place in the quote with each trade, none without.
        place = 2.0 * uniforms(mix(interest.keys, traded.astype(np.int64))) - 1.0
        last_inr = quotes.last_trade_inr(fair.leg_inr, bid_inr, ask_inr, place, traded)
        lot = listing.lot_size
        columns = np.stack([last_inr, bid_inr, ask_inr, traded * lot, held * lot, held_change * lot], axis=1)
        columns.setflags(write=False)
        return Chain(
            index=symbol,
            event_time=instant,
            receive_time=receive_time,
            spot_inr=fair.spot_inr,
            expiries=tuple(
                ExpiryChain(
                    expiry=expiry,
                    lot_size=lot,
                    strike_inr=(strikes := listing.strike_inr[start:end]),
                    call=Legs(*columns[0, :, start:end]),
                    put=Legs(*columns[1, :, start:end]),
                    atm_offset=atm_offsets(strikes, fair.spot_inr),
                )
                for expiry, start, end in zip(listing.expiries, listing.bounds, listing.bounds[1:], strict=False)
            ),
            source=SOURCE,
        )

    def _listing(self, underlying: Underlying, instant: datetime) -> Listing:
        symbol, day = underlying.index.symbol, trading_date(instant)
        expiries = listed_expiries(underlying.index, instant)
        known = self._listings.get(symbol)
        if known is None or known.day != day or known.expiries != expiries:
            known = self._listings[symbol] = self._list(underlying, day, expiries)
        return known

    def _list(self, underlying: Underlying, day: date, expiries: tuple[date, ...]) -> Listing:
        symbol = underlying.index.symbol
        opening_inr = self._prices.spot_inr(symbol, _day_start_micros(day))
        ladders = [strike_ladder(underlying, expiry, day, opening_inr) for expiry in expiries]
        sizes = [len(ladder) for ladder in ladders]
        strike_inr = np.concatenate(ladders)
        strike_inr.setflags(write=False)
        expiry_row = np.repeat(np.arange(len(expiries)), sizes)
        ordinals = np.array([expiry.toordinal() for expiry in expiries])
        index_keys = seed_keys(self._seed, 2, list(UNDERLYINGS).index(symbol))
        leg_keys = mix(mix(index_keys, ordinals[expiry_row]), np.rint(strike_inr).astype(np.int64))
        return Listing(
            day=day,
            expiries=expiries,
            strike_inr=strike_inr,
            expiry_row=expiry_row,
            bounds=(0, *np.cumsum(sizes).tolist()),
            expiry_micros=np.array([to_micros(expiry_instant(expiry)) for expiry in expiries]),
            interest=activity.usual_interest(
                underlying,
                strike_inr,
                ordinals - day.toordinal(),
                expiry_row,
                opening_inr,
                mix(leg_keys[None, :], np.array([[0], [1]])),
            ),
            lot_size=lot_size(symbol, day),
        )


def _day_start_micros(day: date) -> int:
    return to_micros(datetime(day.year, day.month, day.day, tzinfo=IST))
