from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy import insert, text
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.schema import CreateIndex, CreateTable

from optrading.common.state import StateError
from optrading.identity import schema
from optrading.identity.database import DATABASE_FILE, open_database
from optrading.identity.users import Users


def modes(directory: Path) -> dict[str, int]:
    return {file.name: file.stat().st_mode & 0o777 for file in directory.iterdir()}


async def test_a_commit_is_on_disk_when_it_returns(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        assert (await connection.execute(text("PRAGMA journal_mode"))).scalar() == "wal"
        assert (await connection.execute(text("PRAGMA synchronous"))).scalar() == 2
        assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar() == 1


async def test_the_database_is_for_its_owner_only(tmp_path: Path, users: Users) -> None:
    await users.create("asha", "twelve chars")
    assert modes(tmp_path) == {DATABASE_FILE: 0o600, f"{DATABASE_FILE}-wal": 0o600, f"{DATABASE_FILE}-shm": 0o600}


async def test_an_error_of_the_database_does_not_show_what_was_to_be_written(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        with pytest.raises(IntegrityError) as failed:
            await connection.execute(insert(schema.users).values(user_id="1", password_hash="swordfish"))
    assert "swordfish" not in str(failed.value)


async def test_another_database_can_be_named(tmp_path: Path) -> None:
    async with open_database(tmp_path, SecretStr(f"sqlite:///{tmp_path}/elsewhere/users.db")):
        assert (tmp_path / "elsewhere" / "users.db").exists()
    assert not (tmp_path / DATABASE_FILE).exists()


async def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / DATABASE_FILE).write_bytes(b"something else" * 100)
    with pytest.raises(StateError, match="not a database"):
        async with open_database(tmp_path):
            pass
    assert (tmp_path / DATABASE_FILE).read_bytes() == b"something else" * 100


@pytest.mark.parametrize(
    "url",
    [
        "swordfish",
        "oracle+swordfish://asha:swordfish@db/identity",
        "sqlite+pysqlite:///swordfish.db",
        "sqlite:////proc/none/users.db",
        "postgresql://asha:swordfish@127.0.0.1:1/identity",
        "postgresql+nosuchdriver://asha:swordfish@db/identity",
    ],
)
async def test_a_url_that_cannot_be_used_is_refused_in_one_line_without_its_password(tmp_path: Path, url: str) -> None:
    with pytest.raises(StateError) as refused:
        async with open_database(tmp_path, SecretStr(url)):
            pass
    assert "\n" not in str(refused.value)
    assert "asha:swordfish" not in str(refused.value)


def test_the_schema_can_be_made_on_postgresql() -> None:
    dialect = postgresql.dialect()
    statements = [str(CreateTable(table).compile(dialect=dialect)) for table in schema.metadata.sorted_tables]
    statements += [
        str(CreateIndex(i).compile(dialect=dialect)) for t in schema.metadata.sorted_tables for i in t.indexes
    ]
    statement = " ".join(" ".join(statements).split())
    assert "created_at TIMESTAMP WITH TIME ZONE NOT NULL" in statement
    assert "token_sha256 BYTEA NOT NULL" in statement
    assert "CREATE INDEX ix_refresh_tokens_expires_at ON refresh_tokens (expires_at)" in statement
    assert "CONSTRAINT uq_users_username UNIQUE (username)" in statement
