"""Settings of the collection service."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from pydantic import Field, field_validator

from optrading.collection.feeds.kite.settings import KiteSettings
from optrading.market.strikes import parse_offsets
from optrading.market.window import WindowShape

DEFAULT_OFFSETS = "-2,-1,0,1,2"
EXTENDED_OFFSETS = "-5,-4,-3,-2,-1,0,1,2,3,4,5"


class FeedName(StrEnum):
    """Where chains come from."""

    SYNTHETIC = "synthetic"
    """A made-up market that never closes; no account and no file needed."""
    REPLAY = "replay"
    """A recorded day."""
    KITE = "kite"
    """Zerodha's Kite Connect, live."""


class ReplayEnd(StrEnum):
    """What a replay does after its last chain."""

    PAUSE = "pause"
    """Nothing: the last chains stay."""
    LOOP = "loop"
    """Begins again."""


class MarketHours(StrEnum):
    """When the market of a live feed is open."""

    EXCHANGE = "exchange"
    """As the exchanges' calendar has it."""
    ALWAYS = "always"
    """Day and night: a demonstration."""
    RECORDED = "recorded"
    """As the feed says: it plays a recorded day, and our clock tells nothing of it."""


class CollectionSettings(KiteSettings):
    """What the collection service needs to know.

    Attributes:
        feed: Where chains come from (`FEED`).
        recording: The recording to replay (`RECORDING`): Parquet, CSV or NSE's option-chain JSON.
        speed: `max`, or how many times faster than recorded, 1 to 1000 (`SPEED`).
        replay_end: What a replay does after its last chain.
        replay_lot_size: Units in one contract of the recording; unset takes the exchange's lot size of its day.
        replay_run: Name of a run. A restarted collector goes on where this run of the recording stopped; a new name
            plays it from its beginning.
        synthetic_seed: The same seed gives the same market.
        synthetic_indices: Which indices the synthetic market has; comma-separated, empty for all six.
        cut_interval_s: Time between two chains of an index, seconds.
        active_strike_offsets: Which strikes to collect: a list such as `-2,-1,0,1,2`, a range such as `-5..5`, or
            `all`. Empty takes -2..2, or -5..5 with `feature_extended_analysis`.
        feature_extended_analysis: Eleven strikes instead of five where no offsets are set.
        recentre_margin: How far past the middle between two strikes the spot must be for the active strikes to move, as
            a part of their distance.
        strike_overlap_s: How long a strike that is no longer near the money stays active, seconds of event time.
        market_hours: When the market of a live feed is open: `exchange`, `always` or `recorded`.
        holiday_file: Days that the calendar does not know or has wrong, one per line: `2026-01-15 closed`,
            `2026-02-01 open` or `2026-11-08 18:00-19:00`, with a name behind it.
        gap_after_s: Silence of an index while its market is open that is noted as a gap, seconds.
        stale_after_s: Age from which on a live chain is flagged as stale, seconds.
        backfill_enabled: Whether gaps are filled from the feed's history, where it has one.
        lease_ttl_s: Time after which an index whose collector is silent goes to another one, seconds; with
            `redis_url`.
        lease_grace_s: How long a collector that starts waits for a Redis that is away before it owns all indices
            without it, seconds.
        advertised_address: host:port under which others reach this collector; where it listens unless set.
        journal_window_s: How long a stored chain stays in the journal for readers that resume, seconds.
        recovery_log_retention_days: Age at which a chain leaves the journal even if storage never had it, days.
        trim_interval_s: Time between two trims of the journal, seconds.
    """

    listen_address: str = "127.0.0.1:50051"
    feed: FeedName = FeedName.SYNTHETIC
    recording: Path | None = None
    speed: str = "1"
    replay_end: ReplayEnd = ReplayEnd.PAUSE
    replay_lot_size: int | None = Field(default=None, gt=0)
    replay_run: str = ""
    synthetic_seed: int = 1
    synthetic_indices: str = ""
    cut_interval_s: float = Field(default=1.0, ge=0.05, le=3600)
    active_strike_offsets: str = ""
    feature_extended_analysis: bool = False
    recentre_margin: float = Field(default=0.25, ge=0, le=0.5)
    strike_overlap_s: float = Field(default=300.0, ge=0)
    market_hours: MarketHours = MarketHours.EXCHANGE
    holiday_file: Path | None = None
    gap_after_s: float = Field(default=10.0, gt=0)
    stale_after_s: float = Field(default=30.0, gt=0)
    backfill_enabled: bool = True
    lease_ttl_s: float = Field(default=7.0, ge=0.5)
    lease_grace_s: float = Field(default=10.0, ge=0)
    advertised_address: str = ""
    journal_window_s: float = Field(default=600.0, ge=0)
    recovery_log_retention_days: float = Field(default=7.0, gt=0)
    trim_interval_s: float = Field(default=30.0, gt=0)

    @field_validator("active_strike_offsets")
    @classmethod
    def _offsets_can_be_read(cls, text: str) -> str:
        if text:
            parse_offsets(text)
        return text

    def offsets(self) -> frozenset[int] | None:
        """Return the strike offsets to collect; None for all."""
        fallback = EXTENDED_OFFSETS if self.feature_extended_analysis else DEFAULT_OFFSETS
        return parse_offsets(self.active_strike_offsets or fallback)

    def window(self) -> WindowShape:
        """Return which strikes are active."""
        return WindowShape(self.offsets(), self.recentre_margin, timedelta(seconds=self.strike_overlap_s))
