from __future__ import annotations

import pytest

from optrading.market.acceptance import UnacceptableChainError, accept_chain
from optrading.market.chain import Position
from tests.chains import small_chain, small_message
from tests.unit.storage.samples import bits


def changed(change):
    message = small_message(Position(7, 1))
    change(message)
    return message


def test_a_chain_of_the_contract_is_accepted_as_it_is():
    message = small_message(Position(7, 1))
    assert bits(accept_chain(message, "NIFTY"), Position(7, 1)) == bits(small_chain(minute=1), Position(7, 1))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: setattr(m, "index", "SENSEX"), "in the stream of NIFTY"),
        (lambda m: m.ClearField("event_time"), "lacks its event time"),
        (lambda m: m.ClearField("receive_time"), "lacks its event time"),
        (lambda m: setattr(m.event_time, "seconds", 2**62), "."),
        (lambda m: setattr(m.expiries[0], "expiry", "soon"), "soon"),
        (lambda m: m.expiries[0].call.last_inr.pop(), "rows for 3 strikes"),
        (lambda m: m.expiries[0].atm_offset.append(1), "rows for 3 strikes"),
        (lambda m: m.expiries.append(m.expiries[0]), "expiries are not strictly ascending"),
        (lambda m: m.expiries[1].strike_inr.__setitem__(0, 99_999.0), "strikes of 2026-08-25"),
        (lambda m: m.expiries[1].strike_inr.__setitem__(1, float("nan")), "strikes of 2026-08-25"),
        (lambda m: m.expiries[1].strike_inr.__setitem__(0, -5.0), "strikes of 2026-08-25"),
        (lambda m: m.expiries[1].strike_inr.__setitem__(2, float("inf")), "strikes of 2026-08-25"),
    ],
)
def test_a_chain_that_contradicts_itself_is_refused_with_the_reason(change, why):
    with pytest.raises(UnacceptableChainError, match=why):
        accept_chain(changed(change), "NIFTY")
