"""Settings of the Kite feed."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from pydantic import Field, SecretStr, field_validator

from optrading.common.settings import ServiceSettings
from optrading.market.indices import INDICES

MOST_TOKENS = 3_000
"""Instruments that the broker allows on one connection."""
MOST_CONNECTIONS = 3
"""Connections that the broker allows to one API key."""


class KiteMode(StrEnum):
    """How much is asked for of each contract."""

    LTP = "ltp"
    """The last price only."""
    QUOTE = "quote"
    """Prices and volume; no open interest, no bid and ask, no exchange time."""
    FULL = "full"
    """Everything."""


class KiteSettings(ServiceSettings):
    """What the Kite feed needs to know.

    Attributes:
        kite_api_key: Key of your Kite Connect app.
        kite_api_secret: Its secret; needed for `optrading kite login` only.
        kite_indices: Which indices to collect; comma-separated, empty for all six.
        kite_mode: How much is asked for of each contract.
        kite_rest_url: Where the broker's REST is.
        kite_ticker_url: Where its stream of ticks is.
        kite_login_url: Page on which its users log in.
        kite_tokens_per_connection: Instruments on one connection; the broker allows 3000.
        kite_connections: Connections; the broker allows 3 to one key. Collectors that share a key share these.
        kite_silence_s: Silence after which a connection is taken for dead, seconds. The broker sends a sign of life
            every second or two.
        kite_longest_retry_s: Longest wait between two tries to connect, seconds.
        kite_refused_retry_s: Time after which a session that was refused is tried again, seconds; doubles up to 15
            minutes. A new login is noticed within a second.
        kite_expiry_notice_minutes: How long before the market opens it is said that the session will not last,
            minutes.
        kite_instrument_refresh_s: Time between two looks for strikes that were newly listed, seconds.
        kite_backfill_legs: Legs, those nearest to the money, whose history fills a gap. The broker answers three a
            second.
    """

    kite_api_key: str = ""
    kite_api_secret: SecretStr | None = None
    kite_indices: str = ""
    kite_mode: KiteMode = KiteMode.FULL
    kite_rest_url: str = "https://api.kite.trade"
    kite_ticker_url: str = "wss://ws.kite.trade"
    kite_login_url: str = "https://kite.zerodha.com/connect/login"
    kite_tokens_per_connection: int = Field(default=MOST_TOKENS, ge=1, le=MOST_TOKENS)
    kite_connections: int = Field(default=MOST_CONNECTIONS, ge=1, le=MOST_CONNECTIONS)
    kite_silence_s: float = Field(default=5.0, gt=0)
    kite_longest_retry_s: float = Field(default=30.0, gt=0)
    kite_refused_retry_s: float = Field(default=60.0, gt=0)
    kite_expiry_notice_minutes: float = Field(default=30.0, ge=0)
    kite_instrument_refresh_s: float = Field(default=1800.0, gt=0)
    kite_backfill_legs: int = Field(default=100, ge=0)

    @field_validator("kite_indices")
    @classmethod
    def _indices_are_known(cls, text: str) -> str:
        unknown = [name for name in _names(text) if name not in INDICES]
        if unknown:
            raise ValueError(f"unknown index {', '.join(unknown)}; allowed: {', '.join(INDICES)}")
        return text

    def kite_symbols(self) -> tuple[str, ...]:
        """Return the indices to collect."""
        return tuple(_names(self.kite_indices)) or tuple(INDICES)

    def kite_folder(self) -> Path:
        """Return where the session and the instruments are kept."""
        return self.home / "kite"


def _names(text: str) -> list[str]:
    return [name.strip().upper() for name in text.split(",") if name.strip()]
