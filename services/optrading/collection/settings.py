"""Settings of the collection service."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field, field_validator

from optrading.common.settings import ServiceSettings
from optrading.market.strikes import parse_offsets

DEFAULT_OFFSETS = "-2,-1,0,1,2"
EXTENDED_OFFSETS = "-5,-4,-3,-2,-1,0,1,2,3,4,5"


class FeedName(StrEnum):
    """Where chains come from."""

    SYNTHETIC = "synthetic"
    """A made-up market that never closes; no account and no file needed."""
    REPLAY = "replay"
    """A recorded day."""


class ReplayEnd(StrEnum):
    """What a replay does after its last chain."""

    PAUSE = "pause"
    """Nothing: the last chains stay."""
    LOOP = "loop"
    """Begins again."""


class CollectionSettings(ServiceSettings):
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
