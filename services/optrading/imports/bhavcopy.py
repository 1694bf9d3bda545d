"""The exchanges' end-of-day files of derivatives: the legacy bhavcopy of NSE, and UDiFF of both.

Open interest is in units in both. Volume is in contracts, but for BSE's UDiFF, which has units. The closing price of a
contract that did not trade is a theoretical one, not a trade: it is left out.
"""

from __future__ import annotations

from collections.abc import Mapping

from optrading.imports.rows import (
    Leg,
    Outcome,
    RowError,
    Skipped,
    close_of,
    not_negative,
    number,
    parse_day,
    whole_positive,
)
from optrading.market.indices import INDICES, lot_size

LEGACY_COLUMNS = frozenset(
    {
        "INSTRUMENT",
        "SYMBOL",
        "EXPIRY_DT",
        "STRIKE_PR",
        "OPTION_TYP",
        "CLOSE",
        "CONTRACTS",
        "OPEN_INT",
        "CHG_IN_OI",
        "TIMESTAMP",
    }
)
UDIFF_COLUMNS = frozenset(
    {
        "TradDt",
        "Src",
        "FinInstrmTp",
        "TckrSymb",
        "XpryDt",
        "StrkPric",
        "OptnTp",
        "LastPric",
        "OpnIntrst",
        "TtlTradgVol",
        "NewBrdLotQty",
    }
)
_DAYS = ("%d-%b-%Y", "%Y-%m-%d")
_SIDES = {"CE": False, "PE": True}
_NAN = float("nan")


def read_legacy(line: int, row: Mapping[str, str]) -> Outcome:
    """Read a row of the legacy file.

    Raises:
        RowError: It is an option of one of our indices, and cannot be.
    """
    index = row["SYMBOL"].strip()
    if row["INSTRUMENT"].strip() != "OPTIDX" or index not in INDICES:
        return Skipped()
    day = parse_day(row["TIMESTAMP"], _DAYS, "TIMESTAMP")
    lot = lot_size(index, day)
    if not lot:
        raise RowError(f"the lot size of {index} on {day} is not known")
    contracts = not_negative(number(row, "CONTRACTS", missing=0.0), "CONTRACTS")
    close = not_negative(number(row, "CLOSE"), "CLOSE")
    return Leg(
        line=line,
        index=index,
        event_time=close_of(day),
        expiry=parse_day(row["EXPIRY_DT"], _DAYS, "EXPIRY_DT"),
        strike_inr=whole_positive(number(row, "STRIKE_PR"), "STRIKE_PR"),
        is_put=_side(row["OPTION_TYP"], "OPTION_TYP"),
        lot_size=lot,
        spot_inr=_NAN,
        last_inr=close if contracts and close else _NAN,
        bid_inr=_NAN,
        ask_inr=_NAN,
        volume_units=contracts * lot,
        open_interest_units=not_negative(number(row, "OPEN_INT"), "OPEN_INT"),
        open_interest_change_units=number(row, "CHG_IN_OI"),
    )


def read_udiff(line: int, row: Mapping[str, str]) -> Outcome:
    """Read a row of a UDiFF file.

    Raises:
        RowError: It is an option of one of our indices, and cannot be.
    """
    index = row["TckrSymb"].strip()
    if row["FinInstrmTp"].strip() != "IDO" or index not in INDICES:
        return Skipped()
    day = parse_day(row["TradDt"], _DAYS, "TradDt")
    lot = int(whole_positive(number(row, "NewBrdLotQty"), "NewBrdLotQty"))
    traded = not_negative(number(row, "TtlTradgVol", missing=0.0), "TtlTradgVol")
    volume = traded if row["Src"].strip() == "BSE" else traded * lot
    last = not_negative(number(row, "LastPric"), "LastPric")
    spot = not_negative(number(row, "UndrlygPric"), "UndrlygPric")
    return Leg(
        line=line,
        index=index,
        event_time=close_of(day),
        expiry=parse_day(row["XpryDt"], _DAYS, "XpryDt"),
        strike_inr=whole_positive(number(row, "StrkPric"), "StrkPric"),
        is_put=_side(row["OptnTp"], "OptnTp"),
        lot_size=lot,
        spot_inr=spot or _NAN,
        last_inr=last if traded and last else _NAN,
        bid_inr=_NAN,
        ask_inr=_NAN,
        volume_units=volume,
        open_interest_units=not_negative(number(row, "OpnIntrst"), "OpnIntrst"),
        open_interest_change_units=number(row, "ChngInOpnIntrst"),
    )


def _side(text: str, name: str) -> bool:
    side = _SIDES.get(text.strip().upper())
    if side is None:
        raise RowError(f"{name} is {text!r}; allowed: CE, PE")
    return side
