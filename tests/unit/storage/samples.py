"""Chains of any shape, and a storage without a network: what storage's tests have in common."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from optrading.common.clock import SystemClock
from optrading.common.database import open_database
from optrading.common.journal import Journal
from optrading.common.outbox import Outbox
from optrading.market.buckets import BUCKETS
from optrading.market.chain import Chain, Completeness, ExpiryChain, Legs, Position, column
from optrading.market.codec import encode_chain
from optrading.market.quality import QualityFlag
from optrading.storage.history import History
from optrading.storage.ledger import Ledger, Received
from optrading.storage.recovery import Recovery
from optrading.storage.rolling import sealable_runs
from optrading.storage.stores.catalog import Catalog
from optrading.storage.stores.parquet import seal

EXPIRIES = (date(2026, 8, 18), date(2026, 8, 25), date(2026, 9, 29))
STRIKES = (24_900.0, 24_950.0, 25_000.0, 25_050.5)
PRICES = (math.nan, -0.0, 0.0, 5e-324, 101.35, 1e300, math.inf, -1.0)

prices = st.sampled_from(PRICES) | st.floats(width=64)


def legs(size: int) -> st.SearchStrategy[Legs]:
    """Legs with any values, the awkward ones often."""
    values = st.lists(prices, min_size=size, max_size=size).map(column)
    flags = st.lists(st.sampled_from((0, 0, 1, 2, 28)), min_size=size, max_size=size)
    quality = flags.map(lambda each: np.array(each, dtype=np.uint16))
    return st.builds(Legs, values, values, values, values, values, values, quality=quality)


completenesses = st.builds(
    Completeness, st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.sampled_from((0.0, 0.5, 1.0)), st.just(2)
)


@st.composite
def expiry_chains(draw: st.DrawFn, expiry: date) -> ExpiryChain:
    """One expiry; sometimes without strikes."""
    strikes = sorted(draw(st.sets(st.sampled_from(STRIKES))))
    offsets = draw(st.lists(st.integers(-9, 9), min_size=len(strikes), max_size=len(strikes)))
    return ExpiryChain(
        expiry=expiry,
        lot_size=draw(st.sampled_from((0, 65, 2**40))),
        strike_inr=column(strikes),
        call=draw(legs(len(strikes))),
        put=draw(legs(len(strikes))),
        atm_offset=np.array(offsets, dtype=np.int32),
        buckets=tuple(draw(st.lists(st.sampled_from(BUCKETS), unique=True))),
    )


instants = st.integers(0, 3 * 86_400).map(lambda s: datetime(2026, 8, 17, 20, tzinfo=UTC) + timedelta(seconds=s))
"""Over four trading dates in India, in UTC days that end elsewhere."""


@st.composite
def chains(draw: st.DrawFn, event_times: st.SearchStrategy[datetime] = instants) -> Chain:
    """Any chain of NIFTY; sometimes without expiries."""
    event_time = draw(event_times)
    wanted = sorted(draw(st.sets(st.sampled_from(EXPIRIES))))
    return Chain(
        index="NIFTY",
        event_time=event_time,
        receive_time=event_time + timedelta(microseconds=draw(st.integers(0, 10**9))),
        spot_inr=draw(prices),
        expiries=tuple(draw(expiry_chains(expiry)) for expiry in wanted),
        source=draw(st.sampled_from(("replay", "synthetic", ""))),
        quality=QualityFlag(draw(st.sampled_from((0, 32, 64 + 1)))),
        completeness=draw(st.none() | completenesses),
    )


def positions_for(count: int, epochs: Sequence[int] = (7,)) -> list[Position]:
    """As many positions in order, shared evenly by the epochs."""
    each = -(-count // len(epochs))
    return [Position(epoch, sequence) for epoch in epochs for sequence in range(1, each + 1)][:count]


def bits(chain: Chain, position: Position) -> tuple[object, ...]:
    """Everything in a chain, floats by their bits, so that NaN equals NaN and -0.0 is not 0.0."""
    head = (position, chain.index, chain.event_time, chain.receive_time, _bits([chain.spot_inr]), chain.source)
    head = (*head, chain.quality, chain.completeness)
    return (*head, *(_expiry_bits(expiry) for expiry in chain.expiries))


def _expiry_bits(expiry: ExpiryChain) -> tuple[object, ...]:
    columns = (expiry.strike_inr, *expiry.call.columns(), *expiry.put.columns())
    floats = tuple(_bits(values.tolist()) for values in columns)
    flags = (tuple(expiry.call.quality.tolist()), tuple(expiry.put.quality.tolist()))
    return (expiry.expiry, expiry.lot_size, expiry.buckets, tuple(expiry.atm_offset.tolist()), floats, flags)


def _bits(values: Iterable[float]) -> tuple[bytes, ...]:
    # Every NaN means missing, whatever its payload.
    return tuple(b"NaN" if math.isnan(value) else struct.pack("<d", value) for value in values)


def received(chain: Chain, position: Position, traceparent: str = "") -> Received:
    """Return `chain` as it comes from collection."""
    return Received(chain.index, encode_chain(chain, position), traceparent)


def shifted(chain: Chain, seconds: float) -> Chain:
    """Return `chain` so much later."""
    return replace(chain, event_time=chain.event_time + timedelta(seconds=seconds))


@dataclass
class Kept:
    """A storage's state, opened as a process would open it."""

    directory: Path
    journal: Journal
    catalog: Catalog
    outbox: Outbox
    history: History
    ledger: Ledger

    def store(self, batch: Sequence[tuple[Position, Chain]]) -> None:
        """Make chains durable in one transaction."""
        self.ledger.store([received(chain, position) for position, chain in batch])

    def roll(self, index: str = "NIFTY") -> None:
        """Seal the tail."""
        for run in sealable_runs(self.history.of(index).tail):
            self.ledger.commit_sealed(seal(self.directory, index, run[0].trading_date, run))

    def files(self) -> list[str]:
        """What lies below the folder of sealed files."""
        folder = self.directory / "chains"
        return sorted(path.relative_to(self.directory).as_posix() for path in folder.rglob("*") if path.is_file())


def open_kept(directory: Path, *, events: bool = True) -> Kept:
    """Open (or make) the state in `directory` as a starting process does."""
    connection = open_database(directory / "journal.sqlite")
    journal, catalog, outbox = Journal(connection), Catalog(connection), Outbox(connection, enabled=events)
    history = History()
    Recovery(connection, journal, catalog, directory).load(history)
    ledger = Ledger(connection, journal, catalog, outbox, history, SystemClock())
    return Kept(directory, journal, catalog, outbox, history, ledger)
