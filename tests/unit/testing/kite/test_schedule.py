"""Plans of faults are the same for the same seed and leave no kind out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from optrading.testing.kite import FaultKind, plan_faults


@given(st.integers(), st.integers(0, 60))
def test_a_plan_follows_from_its_seed(seed: int, count: int) -> None:
    plan = plan_faults(seed, count, after=(3, 5), lasts=(1, 2))
    assert plan == plan_faults(seed, count, after=(3, 5), lasts=(1, 2))
    assert len(plan) == count
    assert all(3 <= fault.after <= 5 and 1 <= fault.lasts <= 2 for fault in plan)
    if count >= len(FaultKind):
        assert {fault.kind for fault in plan} == set(FaultKind)


def test_only_the_kinds_that_are_asked_for_occur() -> None:
    plan = plan_faults(1, 20, kinds=[FaultKind.DROP, FaultKind.SLOW])
    assert {fault.kind for fault in plan} == {FaultKind.DROP, FaultKind.SLOW}


def test_another_seed_gives_another_plan() -> None:
    assert plan_faults(1, 9) != plan_faults(2, 9)
