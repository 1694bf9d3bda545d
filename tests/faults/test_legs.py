"""What holds stored legs against a tape finds what is wrong, and nothing where nothing is."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from optrading.market.chain import Chain, column
from tests.chains import small_chain
from tests.faults.legs import TapeOfLegs, differences

TAPE = [small_chain(minute=minute, spot_inr=24_951.503) for minute in range(4)]


def rounded(chain: Chain) -> Chain:
    """Return a chain as it comes from a broker: prices and spot in paise."""
    changed = replace(chain, spot_inr=round(chain.spot_inr * 100) / 100)
    for name in ("last_inr", "bid_inr", "ask_inr"):
        changed = edited(changed, name, lambda values: np.rint(values * 100) / 100)
    return edited(changed, "open_interest_change_units", lambda values: values * np.nan)


def edited(chain: Chain, name: str, change) -> Chain:
    """Return the chain with one column of its calls changed."""
    expiries = [
        replace(expiry, call=replace(expiry.call, **{name: column(change(getattr(expiry.call, name)))}))
        for expiry in chain.expiries
    ]
    return replace(chain, expiries=tuple(expiries))


def test_what_came_through_is_equal_and_nothing_is_invented() -> None:
    tape = TapeOfLegs(TAPE)
    for chain in TAPE:
        assert differences(rounded(chain), chain) == []
        assert tape.inventions(rounded(chain)) == []


def test_an_earlier_value_is_not_invented_and_a_later_one_is() -> None:
    tape = TapeOfLegs(TAPE)
    late = replace(rounded(TAPE[1]), event_time=TAPE[2].event_time)
    assert tape.inventions(late) == []
    early = replace(rounded(TAPE[2]), event_time=TAPE[1].event_time)
    assert any("last_inr" in line for line in tape.inventions(early))
    assert any("spot" in line for line in tape.inventions(early))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("last_inr", lambda values: values + 0.01),
        ("volume_units", lambda values: values + 1),
        ("open_interest_units", lambda values: values * np.nan),
    ],
)
def test_a_value_that_differs_is_found(name: str, change) -> None:
    chain = edited(rounded(TAPE[0]), name, change)
    assert len(differences(chain, TAPE[0])) == 6  # three calls of two expiries
    if not np.isnan(change(np.ones(1))).any():
        assert len(TapeOfLegs(TAPE).inventions(chain)) == 6


def test_a_leg_too_many_or_too_few_and_another_spot_or_lot_are_found() -> None:
    chain = rounded(TAPE[0])
    fewer = replace(chain, expiries=chain.expiries[:1])
    assert len([line for line in differences(fewer, TAPE[0]) if "missing" in line]) == 6
    assert len(differences(chain, replace(TAPE[0], expiries=TAPE[0].expiries[:1]))) == 6
    assert "spot" in differences(replace(chain, spot_inr=1.0), TAPE[0])[0]
    other_lot = replace(chain, expiries=tuple(replace(expiry, lot_size=75) for expiry in chain.expiries))
    assert len(differences(other_lot, TAPE[0])) == 2
    assert differences(replace(chain, event_time=chain.event_time + timedelta(1)), TAPE[0]) == []
