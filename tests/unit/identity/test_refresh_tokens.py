from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from optrading.common.errors import Unauthenticated
from optrading.identity import schema
from optrading.identity.database import open_database
from optrading.identity.passwords import Passwords
from optrading.identity.refresh_tokens import RefreshTokens
from optrading.identity.users import User, Users

from .conftest import CHEAP
from .manual_clock import ManualClock

WEEK = timedelta(days=7)
SECOND = timedelta(seconds=1)


def kept_bytes(directory: Path) -> list[bytes]:
    return [file.read_bytes() for file in directory.iterdir()]


async def exchanged(tokens: RefreshTokens, token: str) -> str | None:
    """Return the next token, or None when `token` is refused."""
    try:
        return (await tokens.exchange(token))[1]
    except Unauthenticated:
        return None


async def refused(tokens: RefreshTokens, token: str) -> bool:
    return await exchanged(tokens, token) is None


async def test_each_token_gives_its_user_and_the_next_token(refresh_tokens: RefreshTokens, asha: User) -> None:
    seen = [await refresh_tokens.begin(asha.user_id)]
    for _ in range(5):
        user, following = await refresh_tokens.exchange(seen[-1])
        assert user == asha
        seen.append(following)
    assert len(set(seen)) == 6


async def test_a_token_used_twice_ends_its_family_and_no_other(refresh_tokens: RefreshTokens, asha: User) -> None:
    stolen, elsewhere = await refresh_tokens.begin(asha.user_id), await refresh_tokens.begin(asha.user_id)
    _, following = await refresh_tokens.exchange(stolen)
    _, newest = await refresh_tokens.exchange(following)
    assert await refused(refresh_tokens, stolen)
    assert await refused(refresh_tokens, newest)
    assert not await refused(refresh_tokens, elsewhere)


async def test_of_concurrent_uses_of_one_token_exactly_one_wins(refresh_tokens: RefreshTokens, asha: User) -> None:
    for _ in range(5):
        token = await refresh_tokens.begin(asha.user_id)
        answers = await asyncio.gather(*(refresh_tokens.exchange(token) for _ in range(8)), return_exceptions=True)
        won = [answer for answer in answers if isinstance(answer, tuple)]
        assert len(won) == 1
        assert sum(isinstance(answer, Unauthenticated) for answer in answers) == 7
        assert await refused(refresh_tokens, won[0][1])


async def test_a_token_is_good_until_it_expires(refresh_tokens: RefreshTokens, asha: User, clock: ManualClock) -> None:
    early, late = await refresh_tokens.begin(asha.user_id), await refresh_tokens.begin(asha.user_id)
    clock.advance(WEEK - SECOND)
    _, following = await refresh_tokens.exchange(early)
    clock.advance(SECOND)
    assert await refused(refresh_tokens, late)
    clock.advance(WEEK - 2 * SECOND)
    assert not await refused(refresh_tokens, following)  # each use gives a whole new life


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "é" * 43, "x" * 1_000_000])
async def test_an_invented_token_is_refused(refresh_tokens: RefreshTokens, asha: User, token: str) -> None:
    await refresh_tokens.begin(asha.user_id)
    with pytest.raises(Unauthenticated) as error:
        await refresh_tokens.exchange(token)
    assert error.value.reason == "INVALID_REFRESH_TOKEN"


async def test_a_disabled_user_cannot_continue(refresh_tokens: RefreshTokens, users: Users, asha: User) -> None:
    token = await refresh_tokens.begin(asha.user_id)
    await users.set_disabled(asha.user_id, disabled=True)
    assert await refused(refresh_tokens, token)


async def test_all_sessions_of_one_user_can_be_ended(refresh_tokens: RefreshTokens, users: Users, asha: User) -> None:
    vikram = await users.create("vikram", "twelve chars")
    mine = [await refresh_tokens.begin(asha.user_id) for _ in range(2)]
    his = await refresh_tokens.begin(vikram.user_id)
    await refresh_tokens.end_all(asha.user_id)
    assert [await refused(refresh_tokens, token) for token in [*mine, his]] == [True, True, False]


async def test_tokens_outlive_the_service(refresh_tokens: RefreshTokens, asha: User, tmp_path: Path) -> None:
    token = await refresh_tokens.begin(asha.user_id)
    async with open_database(tmp_path) as engine:
        again = RefreshTokens(engine, ManualClock(), WEEK)
        _, following = await again.exchange(token)
    assert not await refused(refresh_tokens, following)


async def test_pruning_takes_what_has_expired_and_nothing_else(
    refresh_tokens: RefreshTokens, engine: AsyncEngine, asha: User, clock: ManualClock
) -> None:
    await refresh_tokens.begin(asha.user_id)
    kept = await refresh_tokens.begin(asha.user_id)
    clock.advance(WEEK / 2)
    _, following = await refresh_tokens.exchange(kept)
    clock.advance(WEEK / 2)
    assert await refresh_tokens.prune() == 2
    assert await refresh_tokens.prune() == 0
    async with engine.connect() as connection:
        assert (await connection.execute(select(func.count()).select_from(schema.refresh_families))).scalar() == 1
    assert not await refused(refresh_tokens, following)


async def test_no_token_is_in_the_database_or_in_the_logs(
    refresh_tokens: RefreshTokens, asha: User, tmp_path: Path
) -> None:
    with capture_logs() as logs:
        token = await refresh_tokens.begin(asha.user_id)
        _, following = await refresh_tokens.exchange(token)
        assert await refused(refresh_tokens, token)
    assert "refresh_token_reused" in [entry["event"] for entry in logs]
    kept = b"".join(kept_bytes(tmp_path))
    for secret in (token, following):
        assert secret.encode() not in kept
        assert secret not in repr(logs)


@settings(max_examples=15, deadline=None)  # each example opens a database
@given(st.lists(st.tuples(st.sampled_from(["begin", "use", "wait", "prune"]), st.integers(0, 30)), max_size=25))
def test_a_token_is_good_once_while_nothing_of_its_family_was_used_twice(steps: list[tuple[str, int]]) -> None:
    asyncio.run(follow(steps))


async def follow(steps: list[tuple[str, int]]) -> None:
    """Do `steps` and compare every answer with a model: per token its family, its end, and whether it was used."""
    clock = ManualClock()
    async with open_database(Path(), SecretStr("sqlite://")) as engine, Passwords(CHEAP) as passwords:
        user = await Users(engine, passwords, clock).create("asha", "twelve chars")
        tokens = RefreshTokens(engine, clock, WEEK)
        issued: list[str] = []
        family: dict[str, int] = {}
        expires = {}
        used: set[str] = set()
        pruned: set[str] = set()
        ended: set[int] = set()

        def note(token: str, of: int) -> None:
            issued.append(token)
            family[token], expires[token] = of, clock.now() + WEEK

        for number, (step, choice) in enumerate(steps):
            if step == "begin":
                note(await tokens.begin(user.user_id), number)
            elif step == "wait":
                clock.advance(timedelta(days=choice / 6))
            elif step == "prune":
                await tokens.prune()
                pruned.update(token for token in issued if expires[token] <= clock.now())
            elif issued:
                token = issued[choice % len(issued)]
                good = token not in used and family[token] not in ended and clock.now() < expires[token]
                following = await exchanged(tokens, token)
                assert (following is not None) == good
                if following is not None:
                    note(following, family[token])
                if token in used and token not in pruned:
                    ended.add(family[token])
                used.add(token)
