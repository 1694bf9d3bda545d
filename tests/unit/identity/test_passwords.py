from __future__ import annotations

import asyncio
import time
import unicodedata

import pytest
from argon2 import PasswordHasher
from hypothesis import given, settings
from hypothesis import strategies as st

from optrading.common.errors import ResourceExhausted
from optrading.identity.passwords import HASHER, MAX_WAITING, Passwords

from .conftest import CHEAP


@settings(max_examples=30, deadline=None)  # each example starts threads
@given(st.text(max_size=40), st.text(max_size=40))
def test_a_password_matches_its_own_hash_and_another_one_does_not(password: str, other: str) -> None:
    async def check() -> None:
        async with Passwords(CHEAP) as passwords:
            hashed = await passwords.hash(password)
            assert hashed.startswith("$argon2id$")
            assert await passwords.verify(hashed, unicodedata.normalize("NFD", password))
            same = unicodedata.normalize("NFC", other) == unicodedata.normalize("NFC", password)
            assert await passwords.verify(hashed, other) == same

    asyncio.run(check())


async def test_equal_passwords_have_different_hashes(passwords: Passwords) -> None:
    assert await passwords.hash("twelve chars") != await passwords.hash("twelve chars")


async def test_without_a_hash_nothing_matches_not_even_the_decoys_password(passwords: Passwords) -> None:
    assert not await passwords.verify(None, "a password that belongs to nobody")


async def test_an_endless_password_does_not_match_and_costs_nothing(passwords: Passwords) -> None:
    assert not await passwords.verify(await passwords.hash("x" * 2000), "x" * 2000)


async def test_a_hash_of_another_cost_is_outdated(passwords: Passwords) -> None:
    assert not passwords.is_outdated(await passwords.hash("twelve chars"))
    assert passwords.is_outdated(PasswordHasher(time_cost=2, memory_cost=8, parallelism=1).hash("twelve chars"))


async def test_an_unknown_user_costs_as_much_time_as_a_wrong_password() -> None:
    async with Passwords(HASHER) as passwords:
        hashed = await passwords.hash("twelve chars")

        async def quickest_s(password_hash: str | None) -> float:
            times_s = []
            for _ in range(3):
                begun = time.perf_counter()
                assert not await passwords.verify(password_hash, "another password")
                times_s.append(time.perf_counter() - begun)
            return min(times_s)

        # Wide, for a noisy computer; an unknown user who cost no hash would be a thousand times quicker.
        assert 0.4 < await quickest_s(None) / await quickest_s(hashed) < 2.5


async def test_the_event_loop_goes_on_while_a_password_is_hashed() -> None:
    async with Passwords(HASHER) as passwords:
        hashing = asyncio.create_task(passwords.hash("twelve chars"))
        turns = 0
        while not hashing.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns > 100


async def test_more_calls_than_can_be_done_soon_are_refused_and_later_ones_are_not(passwords: Passwords) -> None:
    answers = await asyncio.gather(
        *(passwords.hash("twelve chars") for _ in range(MAX_WAITING + 5)), return_exceptions=True
    )
    refused = [answer for answer in answers if isinstance(answer, ResourceExhausted)]
    assert len(refused) == 5
    assert all(error.retry_after_s for error in refused)
    assert await passwords.hash("twelve chars")


async def test_a_caller_that_goes_away_frees_its_place(passwords: Passwords) -> None:
    waiting = [asyncio.create_task(passwords.hash("twelve chars")) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(ResourceExhausted):
        await passwords.hash("twelve chars")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert await passwords.hash("twelve chars")
