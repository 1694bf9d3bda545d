"""Codes that say what became of a leg: where its price is from and why it has a volatility or has none."""

from enum import IntEnum


class LegStatus(IntEnum):
    """Outcome of the implied volatility of one leg. Anything but `OK` has NaN in volatility and Greeks.

    Where several apply, `EXPIRED` comes first, then `NO_TRADE`, then unusable inputs, then the bounds of the price.

    Attributes:
        OK: Solved.
        BELOW_INTRINSIC: The price is under the discounted intrinsic value by more than rounding.
        ABOVE_MAXIMUM: The price is at or over the discounted forward (call) or strike (put), which no volatility
            reaches.
        NO_TRADE: There is no price: NaN, zero or negative.
        EXPIRED: No time is left: years <= 0.
        NO_INFORMATION: The price equals intrinsic to rounding; or forward, strike, years, rate or price is not a usable
            number.
    """

    OK = 1
    BELOW_INTRINSIC = 2
    ABOVE_MAXIMUM = 3
    NO_TRADE = 4
    EXPIRED = 5
    NO_INFORMATION = 6


class PriceSource(IntEnum):
    """Which price of a leg was used.

    Attributes:
        NONE: There was none; the price is NaN.
        MID: Middle of bid and ask.
        LAST: Last traded price.
    """

    NONE = 0
    MID = 1
    LAST = 2
