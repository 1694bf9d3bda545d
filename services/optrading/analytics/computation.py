"""From a chain to its analytics as the contract has them: the kernels per expiry, then the totals. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np

from optrading.analytics.kernels.arrays import sum_of_known
from optrading.analytics.kernels.chain import ExpiryResult, LegAnalytics, analyse_expiry
from optrading.analytics.kernels.open_interest import put_call_ratio
from optrading.analytics.kernels.status import LegStatus
from optrading.analytics.v1 import analytics_service_pb2 as pb
from optrading.market.chain import Chain, ExpiryChain, Position
from optrading.market.codec import encode_completeness, to_timestamp

MODEL = "black76/1"
"""Model and version in every answer; the version grows whenever the same input would give other numbers."""

_LEG_COLUMNS = (
    "price_inr",
    "price_source",
    "implied_vol",
    "status",
    "delta",
    "gamma_per_inr",
    "theta_inr_per_day",
    "vega_inr_per_vol_point",
    "rho_inr_per_rate_point",
)
_SUMMARY_FIGURES = (
    "atm_strike_inr",
    "atm_implied_vol",
    "straddle_inr",
    "pcr_open_interest",
    "pcr_volume",
    "max_pain_inr",
    "call_open_interest_units",
    "put_open_interest_units",
    "call_volume_units",
    "put_volume_units",
)


def analyse_chain(
    chain: Chain, position: Position, rate_per_year: float, computed_time: datetime
) -> pb.AnalyticsSnapshot:
    """Compute the analytics of `chain`.

    Args:
        chain: Time to expiry is measured from its event time.
        position: Its position, named in the answer.
        rate_per_year: Continuously compounded.
        computed_time: The present, named in the answer.

    Raises:
        ValueError: The chain's columns contradict each other.
    """
    expiries = [_analyse(chain, expiry, rate_per_year) for expiry in chain.expiries]
    return pb.AnalyticsSnapshot(
        index=chain.index,
        epoch=position.epoch,
        sequence=position.sequence,
        event_time=to_timestamp(chain.event_time),
        computed_time=to_timestamp(computed_time),
        spot_inr=chain.spot_inr,
        model=MODEL,
        expiries=expiries,
        summary=_total(expiries),
        completeness=encode_completeness(chain.completeness),
    )


def _analyse(chain: Chain, expiry: ExpiryChain, rate_per_year: float) -> pb.ExpiryAnalytics:
    result = analyse_expiry(
        expiry.strike_inr, expiry.call, expiry.put, chain.spot_inr, chain.event_time, expiry.expiry, rate_per_year
    )
    return pb.ExpiryAnalytics(
        expiry=expiry.expiry.isoformat(),
        buckets=expiry.buckets,
        lot_size=expiry.lot_size,
        strike_inr=expiry.strike_inr.tolist(),
        atm_offset=expiry.atm_offset.tolist(),
        call=_encode_legs(result.call),
        put=_encode_legs(result.put),
        summary=_encode_summary(expiry, result, rate_per_year),
    )


def _encode_legs(legs: LegAnalytics) -> pb.LegAnalytics:
    return pb.LegAnalytics(**{name: getattr(legs, name).tolist() for name in _LEG_COLUMNS})


def _encode_summary(expiry: ExpiryChain, result: ExpiryResult, rate_per_year: float) -> pb.ExpirySummary:
    return pb.ExpirySummary(
        expiry=expiry.expiry.isoformat(),
        buckets=expiry.buckets,
        lot_size=expiry.lot_size,
        years=result.years,
        rate_per_year=rate_per_year,
        forward_inr=result.forward.forward_inr,
        forward_source=pb.ForwardSource.ValueType(result.forward.source.value),
        **{name: getattr(result.summary, name) for name in _SUMMARY_FIGURES},
    )


def _total(expiries: list[pb.ExpiryAnalytics]) -> pb.IndexSummary:
    call_open_interest = _sum_of_known(each.summary.call_open_interest_units for each in expiries)
    put_open_interest = _sum_of_known(each.summary.put_open_interest_units for each in expiries)
    call_volume = _sum_of_known(each.summary.call_volume_units for each in expiries)
    put_volume = _sum_of_known(each.summary.put_volume_units for each in expiries)
    statuses = np.array([code for each in expiries for side in (each.call, each.put) for code in side.status])
    solved = int(np.count_nonzero(statuses == LegStatus.OK))
    without_price = int(np.count_nonzero(statuses == LegStatus.NO_TRADE))
    return pb.IndexSummary(
        pcr_open_interest=_ratio(put_open_interest, call_open_interest),
        pcr_volume=_ratio(put_volume, call_volume),
        call_open_interest_units=call_open_interest,
        put_open_interest_units=put_open_interest,
        call_volume_units=call_volume,
        put_volume_units=put_volume,
        solved_count=solved,
        unsolved_count=len(statuses) - solved - without_price,
    )


def _ratio(put_units: float, call_units: float) -> float:
    return put_call_ratio(np.array([put_units]), np.array([call_units]))


def _sum_of_known(values: Iterable[float]) -> float:
    return sum_of_known(np.fromiter(values, dtype=np.float64))
