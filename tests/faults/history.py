"""What storage holds after faults, held against what was recorded: gaps, repeats, order, every value."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np

from optrading.market.chain import Chain, ExpiryChain
from optrading.market.codec import decode_chain, position_of
from optrading.market.v1.chain_pb2 import ChainSnapshot


def faults_of(stored: Sequence[ChainSnapshot], recorded: Iterable[Chain]) -> list[str]:
    """Return a line for each thing that is wrong with the stored chains of one index; none is the goal."""
    faults: list[str] = []
    positions = [position_of(message) for message in stored]
    if positions != sorted(positions):
        faults.append("chains are not in the order of their positions")
    sequences: dict[int, list[int]] = defaultdict(list)
    for epoch, sequence in positions:
        sequences[epoch].append(sequence)
    for epoch, found in sequences.items():
        if found != list(range(1, len(found) + 1)):
            faults.append(
                f"epoch {epoch} has the sequences {found[0]}..{found[-1]}, {len(found)} of them, with gaps or repeats"
            )
    wanted = {chain.event_time: chain for chain in recorded}
    got = [decode_chain(message) for message in stored]
    times = [chain.event_time for chain in got]
    if times != sorted(wanted):
        faults.append(f"{len(times)} instants stored, {len(wanted)} recorded; the first stored is {times[:1]}")
    faults.extend(
        f"{chain.event_time}: {problem}"
        for chain in got
        if chain.event_time in wanted
        for problem in _differences(chain, wanted[chain.event_time])
    )
    return faults


def _differences(got: Chain, wanted: Chain) -> Iterable[str]:
    if not np.array_equal(got.spot_inr, wanted.spot_inr, equal_nan=True):
        yield f"spot {got.spot_inr} instead of {wanted.spot_inr}"
    ours, theirs = _by_day(got), _by_day(wanted)
    if ours.keys() != theirs.keys():
        yield f"expiries {sorted(ours)} instead of {sorted(theirs)}"
        return
    for day, expiry in theirs.items():
        pairs = [
            (ours[day].strike_inr, expiry.strike_inr),
            *zip(ours[day].call.columns(), expiry.call.columns(), strict=True),
            *zip(ours[day].put.columns(), expiry.put.columns(), strict=True),
        ]
        if not all(np.array_equal(one, other, equal_nan=True) for one, other in pairs):
            yield f"the legs of {day} differ"


def _by_day(chain: Chain) -> dict[date, ExpiryChain]:
    return {expiry.expiry: expiry for expiry in chain.expiries}
