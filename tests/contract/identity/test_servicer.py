"""Identity as its callers see it: over gRPC, on a port of its own, from a database on disk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import jwt
import pytest
from argon2 import PasswordHasher
from google.protobuf.json_format import MessageToDict, MessageToJson
from google.rpc import error_details_pb2, status_pb2

from optrading.common.clock import SystemClock
from optrading.common.serving import serve
from optrading.common.settings import MeshTls
from optrading.identity.identity import Identity, open_identity
from optrading.identity.settings import IdentitySettings
from optrading.identity.v1 import identity_service_pb2 as pb
from optrading.identity.v1 import identity_service_pb2_grpc as pb_grpc

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "demo's long password"


@pytest.fixture
async def identity(tmp_path: Path) -> AsyncIterator[Identity]:
    settings = IdentitySettings(home=tmp_path, demo_username="demo", demo_password=PASSWORD)
    async with open_identity(settings, SystemClock(), CHEAP) as identity:
        yield identity


@pytest.fixture
async def stub(identity: Identity, tmp_path: Path) -> AsyncIterator[pb_grpc.IdentityServiceAsyncStub]:
    settings = IdentitySettings(home=tmp_path, mesh_tls=MeshTls.SIDECAR, drain_s=0, listen_address="127.0.0.1:0")
    async with (
        serve(settings, "identity", identity.add_to) as server,
        grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
    ):
        yield pb_grpc.IdentityServiceStub(channel)


def told(error: grpc.aio.AioRpcError) -> tuple[str, str, str]:
    """Return status, reason and field; there is exactly one ErrorInfo."""
    metadata = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(metadata["grpc-status-details-bin"])
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert sum(detail.Unpack(info) for detail in status.details) == 1
    assert info.domain == "optrading"
    field = "".join(v.field for detail in status.details if detail.Unpack(bad) for v in bad.field_violations)
    return error.code().name, info.reason, field


async def login(
    stub: pb_grpc.IdentityServiceAsyncStub, username: str = "demo", password: str = PASSWORD
) -> pb.LoginResponse:
    return await stub.Login(pb.LoginRequest(username=username, password=password))


async def verify(stub: pb_grpc.IdentityServiceAsyncStub, token: str) -> dict[str, object]:
    """Verify a token by nothing but the published keys."""
    keys = jwt.PyJWKSet.from_json(MessageToJson(await stub.GetJwks(pb.GetJwksRequest())))
    key = keys[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=["EdDSA"], issuer="optrading", audience="optrading")


async def test_a_login_answers_with_exactly_these_fields(stub: pb_grpc.IdentityServiceAsyncStub) -> None:
    answer = MessageToDict(await login(stub), preserving_proto_field_name=True)
    assert set(answer) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 86_400)


async def test_the_published_keys_verify_the_token(stub: pb_grpc.IdentityServiceAsyncStub) -> None:
    claims = await verify(stub, (await login(stub)).access_token)
    (demo,) = (await stub.ListUsers(pb.ListUsersRequest())).users
    assert (claims["sub"], claims["username"]) == (demo.user_id, "demo")
    assert claims["permissions"] == ["read_data", "write_data", "admin_access"]


async def test_the_published_keys_hold_nothing_private(stub: pb_grpc.IdentityServiceAsyncStub) -> None:
    (key,) = json.loads(MessageToJson(await stub.GetJwks(pb.GetJwksRequest())))["keys"]
    assert {name: key[name] for name in ("kty", "crv", "use", "alg")} == {
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
    }
    assert set(key) == {"kty", "crv", "use", "alg", "x", "kid"}
    assert len(key["kid"]) == 43


async def test_a_refresh_continues_the_session_and_a_second_use_ends_it(stub: pb_grpc.IdentityServiceAsyncStub) -> None:
    begun = await login(stub)
    continued = await stub.RefreshToken(pb.RefreshTokenRequest(refresh_token=begun.refresh_token))
    assert (continued.token_type, continued.expires_in) == ("bearer", 86_400)
    assert (await verify(stub, continued.access_token))["username"] == "demo"
    for token in (begun.refresh_token, continued.refresh_token):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await stub.RefreshToken(pb.RefreshTokenRequest(refresh_token=token))
        assert told(refused.value) == ("UNAUTHENTICATED", "INVALID_REFRESH_TOKEN", "")


async def test_of_concurrent_refreshes_exactly_one_is_answered(stub: pb_grpc.IdentityServiceAsyncStub) -> None:
    request = pb.RefreshTokenRequest(refresh_token=(await login(stub)).refresh_token)

    async def refresh() -> str:
        try:
            await stub.RefreshToken(request)
        except grpc.aio.AioRpcError as error:
            return told(error)[1]
        return "answered"

    assert sorted(await asyncio.gather(*(refresh() for _ in range(6)))) == ["INVALID_REFRESH_TOKEN"] * 5 + ["answered"]


async def test_everybody_who_is_refused_is_told_the_same(
    stub: pb_grpc.IdentityServiceAsyncStub, identity: Identity
) -> None:
    vikram = await identity.users.create("vikram", PASSWORD)
    await identity.users.set_disabled(vikram.user_id, disabled=True)
    answers = set()
    for username, password in (("nobody", PASSWORD), ("demo", "a wrong password"), ("vikram", PASSWORD)):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await login(stub, username, password)
        answers.add((*told(refused.value), refused.value.details()))
    assert answers == {("UNAUTHENTICATED", "INVALID_CREDENTIALS", "", "user name or password is wrong")}


async def test_missing_fields_are_named(stub: pb_grpc.IdentityServiceAsyncStub) -> None:
    for call, field in (
        (stub.Login(pb.LoginRequest(password=PASSWORD)), "username"),
        (stub.Login(pb.LoginRequest(username="demo")), "password"),
        (stub.RefreshToken(pb.RefreshTokenRequest()), "refresh_token"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert told(refused.value) == ("INVALID_ARGUMENT", "MISSING_FIELD", field)


async def test_a_created_user_is_listed_and_can_log_in(
    stub: pb_grpc.IdentityServiceAsyncStub, identity: Identity
) -> None:
    request = pb.CreateUserRequest(username="asha", password="asha's password")
    created = (await stub.CreateUser(request)).user
    assert (created.username, list(created.permissions), created.disabled) == ("asha", ["read_data"], False)
    listed = list((await stub.ListUsers(pb.ListUsersRequest())).users)
    assert [user.username for user in listed] == ["asha", "demo"]
    assert listed[0] == created
    kept = await identity.users.find("asha")
    assert kept is not None
    assert created.created_at.ToMicroseconds() == round(kept.created_at.timestamp() * 1e6)
    claims = await verify(stub, (await login(stub, "asha", "asha's password")).access_token)
    assert (claims["sub"], claims["permissions"]) == (created.user_id, ["read_data"])


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (pb.CreateUserRequest(username="demo", password=PASSWORD), ("ALREADY_EXISTS", "USER_EXISTS", "username")),
        (pb.CreateUserRequest(username="9", password=PASSWORD), ("INVALID_ARGUMENT", "INVALID_USERNAME", "username")),
        (pb.CreateUserRequest(username="asha", password="x"), ("INVALID_ARGUMENT", "WEAK_PASSWORD", "password")),
        (
            pb.CreateUserRequest(username="asha", password=PASSWORD, permissions=["root"]),
            ("INVALID_ARGUMENT", "UNKNOWN_PERMISSION", "permissions"),
        ),
    ],
    ids=["exists", "name", "password", "permission"],
)
async def test_a_user_who_cannot_be_created_is_refused_with_the_reason(
    stub: pb_grpc.IdentityServiceAsyncStub, request_: pb.CreateUserRequest, answer: tuple[str, str, str]
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.CreateUser(request_)
    assert told(refused.value) == answer
    assert len((await stub.ListUsers(pb.ListUsersRequest())).users) == 1


def test_passwords_and_tokens_are_left_out_when_messages_are_printed() -> None:
    for message in (
        pb.LoginRequest(password="swordfish"),
        pb.LoginResponse(access_token="swordfish", refresh_token="swordfish"),
        pb.RefreshTokenRequest(refresh_token="swordfish"),
        pb.RefreshTokenResponse(access_token="swordfish", refresh_token="swordfish"),
        pb.CreateUserRequest(password="swordfish"),
    ):
        secret = [field for field, value in message.ListFields() if value == "swordfish"]
        assert secret
        assert all(field.GetOptions().debug_redact for field in secret)
