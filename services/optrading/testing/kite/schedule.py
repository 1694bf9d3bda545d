"""Plans of random faults: the same seed gives the same plan, and playing a plan does the same to any broker."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from optrading.testing.kite.broker import KiteBroker
from optrading.testing.kite.faults import FaultKind, FaultRecord

_SLOWEST_S = 0.2
_MOST_STALE = 40
"""Tokens that go stale at once, unless all do."""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault of a plan.

    Attributes:
        kind: What happens.
        after: Instants of the tape between the end of the fault before and this one.
        lasts: Instants it lasts, >= 1; what has no duration is only waited for.
        choice: A number of which everything else about it follows.
    """

    kind: FaultKind
    after: int
    lasts: int
    choice: int


def plan_faults(
    seed: int,
    count: int,
    *,
    kinds: Sequence[FaultKind] = tuple(FaultKind),
    after: tuple[int, int] = (2, 6),
    lasts: tuple[int, int] = (1, 5),
) -> tuple[PlannedFault, ...]:
    """Return `count` faults; every kind occurs when there are at least as many faults as kinds.

    Args:
        seed: The same seed gives the same plan.
        count: How many.
        kinds: Which; in random order.
        after: Least and most instants between two faults.
        lasts: Least and most instants that one lasts.
    """
    chance = random.Random(seed)
    order: list[FaultKind] = []
    while len(order) < count:
        order += chance.sample(list(kinds), len(kinds))
    return tuple(
        PlannedFault(kind, chance.randint(*after), chance.randint(*lasts), chance.getrandbits(32))
        for kind in order[:count]
    )


async def play_faults(
    broker: KiteBroker,
    plan: Sequence[PlannedFault],
    *,
    pass_instants: Callable[[int], Awaitable[None]],
    log_in: Callable[[str], Awaitable[None]],
    recovered: Callable[[FaultRecord], Awaitable[None]],
) -> None:
    """Do a plan to a broker, one fault after the other.

    Args:
        broker: Whose clients suffer.
        plan: What `plan_faults` returned.
        pass_instants: Returns when so many instants of the tape have passed.
        log_in: Gives the client an access token of a new session, after one was revoked.
        recovered: Returns when the client is well again, or raises when it will not be.
    """
    for fault in plan:
        await pass_instants(fault.after)
        record = _inject(broker, fault)
        await pass_instants(fault.lasts)
        broker.faults.mend()
        if fault.kind is FaultKind.REVOKE:
            await log_in(broker.account.new_access_token())
        await recovered(record)


def _inject(broker: KiteBroker, fault: PlannedFault) -> FaultRecord:
    faults, chance = broker.faults, random.Random(fault.choice)
    connection = chance.choice([None, chance.randrange(1000)])
    actions: dict[FaultKind, Callable[[], FaultRecord]] = {
        FaultKind.DROP: lambda: faults.drop(connection, orderly=chance.random() < 0.5),
        FaultKind.HALF_OPEN: lambda: faults.half_open(connection),
        FaultKind.STALE: lambda: faults.stale(_some_tokens(broker, chance)),
        FaultKind.REVOKE: faults.revoke,
        FaultKind.GARBAGE: lambda: faults.garbage(connection, seed=fault.choice),
        FaultKind.DUPLICATE: lambda: faults.duplicate(connection),
        FaultKind.REORDER: lambda: faults.reorder(connection),
        FaultKind.SLOW: lambda: faults.slow(chance.uniform(0.01, _SLOWEST_S), connection),
        FaultKind.INSTRUMENTS: lambda: faults.change_instruments(
            chance.choice(broker.indices), strikes=chance.randint(1, 3)
        ),
    }
    return actions[fault.kind]()


def _some_tokens(broker: KiteBroker, chance: random.Random) -> list[int] | None:
    tokens = sorted(broker.subscribed_tokens)
    if chance.random() < 0.5 or not tokens:
        return None
    return sorted(chance.sample(tokens, min(len(tokens), chance.randint(1, _MOST_STALE))))
