"""End-of-day files of the exchanges, made up row by row."""

from __future__ import annotations

from pathlib import Path

LEGACY_HEADER = (
    "INSTRUMENT,SYMBOL,EXPIRY_DT,STRIKE_PR,OPTION_TYP,OPEN,HIGH,LOW,CLOSE,SETTLE_PR,CONTRACTS,VAL_INLAKH,OPEN_INT,"
    "CHG_IN_OI,TIMESTAMP"
)
UDIFF_HEADER = (
    "TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,XpryDt,FininstrmActlXpryDt,StrkPric,OptnTp,"
    "FinInstrmNm,OpnPric,HghPric,LwPric,ClsPric,LastPric,PrvsClsgPric,UndrlygPric,SttlmPric,OpnIntrst,ChngInOpnIntrst,"
    "TtlTradgVol,TtlTrfVal,TtlNbOfTxsExctd,SsnId,NewBrdLotQty,Rmks,Rsvd1,Rsvd2,Rsvd3,Rsvd4"
)


def legacy_row(
    *,
    instrument: str = "OPTIDX",
    symbol: str = "NIFTY",
    expiry: str = "16-Jun-2026",
    strike: object = 24_900,
    side: str = "CE",
    close: object = 100.0,
    contracts: int = 10,
    interest: int = 650,
    change: int = 0,
    day: str = "11-Jun-2026",
) -> str:
    prices = f"0,0,0,{close},{close}"
    return f"{instrument},{symbol},{expiry},{strike},{side},{prices},{contracts},1.5,{interest},{change},{day}"


def legacy(folder: Path, *rows: str) -> Path:
    path = folder / "fo_20260611.csv"
    path.write_text("\n".join([LEGACY_HEADER, *rows, ""]))
    return path


def udiff_row(*, source: str, symbol: str, volume: int, interest: int, lot: int, spot: float, last: float) -> str:
    return (
        f"2026-09-01,2026-09-01,FO,{source},IDO,1,,{symbol},,2026-09-15,2026-09-15,23500.00,PE,NAME,1,1,1,39.4,{last},26.8,"
        f"{spot},39.4,{interest},0,{volume},1.0,1,F1,{lot},,,,,"
    )


def udiff(folder: Path, *rows: str) -> Path:
    path = folder / "udiff.csv"
    path.write_text("\n".join([UDIFF_HEADER, *rows, ""]))
    return path
