"""Who may call what: every method of the contract with every kind of token, by every way in."""

from __future__ import annotations

import re
import time
from typing import Any

import grpc
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from optrading.access.v1.access_pb2 import PERMISSION_MESH_ONLY, PERMISSION_PUBLIC
from optrading.common.access import SCOPES, Access, read_contract
from optrading.gateway.bindings import Binding, bindings_of
from tests.gateway.answers import grpc_reason_of, reason_of
from tests.gateway.edge import DEADLINE_S, KID, Edge, logged_requests, wait_until

ROLES: dict[str, tuple[str, ...] | None] = {
    "anonymous": None,
    "nobody": (),
    **{scope: (scope,) for scope in SCOPES},
    "everything": SCOPES,
}
"""What the token of each kind of caller holds; None is no token."""

CONTRACT = read_contract()
ROUTED = [access for access in CONTRACT.values() if access.permission != PERMISSION_MESH_ONLY]
INTERNAL = [access for access in CONTRACT.values() if access.permission == PERMISSION_MESH_ONLY]
FACES = [(access, binding) for access in ROUTED for binding in bindings_of(access.descriptor)]


def headers_of(edge: Edge, role: str) -> dict[str, str]:
    permissions = ROLES[role]
    return {} if permissions is None else edge.bearer(*permissions)


def expected(access: Access, role: str) -> int:
    if access.permission == PERMISSION_PUBLIC:
        return 200
    permissions = ROLES[role]
    if permissions is None:
        return 401
    return 200 if access.scope in permissions else 403


def ask(edge: Edge, binding: Binding, headers: dict[str, str]) -> httpx.Response:
    path = re.sub(r"\{\w+\}", "NIFTY", binding.template)
    body = {"json": {}} if binding.verb == "POST" else {}
    return edge.http.request(binding.verb, path, headers=headers, **body)


def call(edge: Edge, method: str, headers: dict[str, str]) -> grpc.StatusCode:
    with edge.channel() as channel:
        try:
            # Each method answers an empty request with one message at least; a stream's first is enough to know.
            next(channel.unary_stream(method)(b"", metadata=list(headers.items()), timeout=DEADLINE_S))
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK


GRPC = {
    200: {grpc.StatusCode.OK, grpc.StatusCode.NOT_FOUND},  # an empty request asks for an index without a name
    401: {grpc.StatusCode.UNAUTHENTICATED},
    403: {grpc.StatusCode.PERMISSION_DENIED},
}


@pytest.mark.parametrize("role", ROLES)
def test_every_rest_face_admits_whom_the_contract_names_and_nobody_else(edge: Edge, role: str) -> None:
    headers = headers_of(edge, role)
    assert len(FACES) >= 2 * 14
    answered = {(b.verb, b.template): ask(edge, b, headers).status_code for _, b in FACES}
    assert answered == {(b.verb, b.template): expected(access, role) for access, b in FACES}


@pytest.mark.parametrize("role", ROLES)
def test_every_grpc_method_admits_whom_the_contract_names_and_nobody_else(edge: Edge, role: str) -> None:
    headers = headers_of(edge, role)
    wrong = {
        access.method: code
        for access in ROUTED
        if (code := call(edge, access.method, headers)) not in GRPC[expected(access, role)]
    }
    assert wrong == {}


def test_what_only_the_mesh_may_call_cannot_be_reached_at_all(edge: Edge) -> None:
    headers = edge.bearer(*SCOPES)
    assert INTERNAL
    with edge.upstreams.recorder.listening() as calls:
        for access in INTERNAL:
            with edge.channel() as channel, pytest.raises(grpc.RpcError) as caught:
                channel.unary_unary(access.method)(b"", metadata=list(headers.items()), timeout=DEADLINE_S)
            assert grpc_reason_of(caught.value, grpc.StatusCode.UNIMPLEMENTED) == "UNKNOWN_PATH"
            for kind in ("application/json", "application/grpc-web+proto", "application/x-protobuf"):
                answer = edge.http.post(access.method, content=b"{}", headers=headers | {"content-type": kind})
                assert answer.status_code == 404
            assert edge.http.get(access.method, headers=headers).status_code == 404
    assert calls == []


def test_a_method_cannot_be_called_as_rest_by_its_grpc_path(edge: Edge) -> None:
    response = edge.http.post("/optrading.identity.v1.IdentityService/Login", json={})
    assert reason_of(response, 404, "NOT_FOUND") == "UNKNOWN_PATH"


@pytest.mark.parametrize("role", ["anonymous", "everything"])
def test_a_route_whose_policy_was_forgotten_admits_nobody(edge: Edge, role: str) -> None:
    response = edge.http.get("/unpoliced", headers=headers_of(edge, role))
    assert response.status_code == (401 if role == "anonymous" else 403)


def test_a_refusal_names_the_permission_that_is_missing(edge: Edge) -> None:
    response = edge.http.get("/admin/users", headers=edge.bearer("read_data", "write_data"))
    assert reason_of(response, 403, "PERMISSION_DENIED") == "PERMISSION_DENIED"
    assert "admin_access" in response.json()["message"]


def test_the_service_learns_who_calls_and_never_sees_the_token(edge: Edge) -> None:
    with edge.upstreams.recorder.listening() as calls:
        assert edge.http.get("/indices", headers=edge.bearer("read_data")).status_code == 200
    ((_, seen),) = calls
    assert seen["x-optrading-subject"] == "user-1"
    assert seen["x-optrading-username"] == "asha"
    assert "authorization" not in seen


FORGED = {
    "X-Optrading-Subject": "root",
    "x-optrading-username": "root",
    "X-OPTRADING-ROLE": "root",
    "x-envoy-original-path": "/admin/users",
    "x-envoy-upstream-rq-timeout-ms": "1",
}


def test_identity_headers_from_outside_are_taken_away_before_anything_sees_them(edge: Edge) -> None:
    with edge.upstreams.recorder.listening() as calls:
        assert edge.http.get("/indices", headers=edge.bearer("read_data") | FORGED).status_code == 200
        assert edge.http.post("/auth/login", json={}, headers=FORGED).status_code == 200
        with edge.channel() as channel:
            token = [*edge.bearer("read_data").items(), *((name.lower(), value) for name, value in FORGED.items())]
            method = "/optrading.collection.v1.CollectionService/ListIndices"
            channel.unary_unary(method)(b"", metadata=token, timeout=DEADLINE_S)
    assert [seen.get("x-optrading-subject") for _, seen in calls] == ["user-1", None, "user-1"]
    for _, seen in calls:
        assert "root" not in seen.values()
        assert seen.get("x-envoy-original-path") != "/admin/users"
        assert "x-envoy-upstream-rq-timeout-ms" not in seen


def wrong_tokens(edge: Edge) -> dict[str, str]:
    tokens = edge.tokens
    now_s = int(time.time())
    claims = tokens.claims(*SCOPES)
    valid = tokens.issue(*SCOPES)
    header, payload, signature = valid.split(".")
    public = tokens.private.public_key().public_bytes_raw()
    other: Any = Ed25519PrivateKey.generate()
    return {
        "nonsense": "nonsense",
        "no signature": f"{header}.{payload}.",
        "changed payload": f"{header}.{payload[:-4]}AAAA.{signature}",
        "alg none": jwt.encode(claims, None, algorithm="none"),
        "alg none with the key's name": jwt.encode(claims, None, algorithm="none", headers={"kid": KID}),
        "the public key as a shared secret": jwt.encode(claims, public, algorithm="HS256", headers={"kid": KID}),
        "the JWK's text as a shared secret": jwt.encode(claims, tokens.x, algorithm="HS256", headers={"kid": KID}),
        "another key": tokens.issue(*SCOPES, key=other),
        "expired": tokens.issue(*SCOPES, exp=now_s - 60),
        "without an end": tokens.issue(*SCOPES, exp=None),
        "not yet valid": tokens.issue(*SCOPES, nbf=now_s + 600),
        "another audience": tokens.issue(*SCOPES, aud="elsewhere"),
        "no audience": tokens.issue(*SCOPES, aud=None),
        "another issuer": tokens.issue(*SCOPES, iss="elsewhere"),
        "no issuer": tokens.issue(*SCOPES, iss=None),
    }


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")  # the attack needs just such a key
def test_no_wrong_token_is_taken_for_a_right_one(edge: Edge) -> None:
    assert edge.http.get("/indices", headers=edge.bearer("read_data")).status_code == 200
    with edge.upstreams.recorder.listening() as calls:
        for kind, token in wrong_tokens(edge).items():
            response = edge.http.get("/indices", headers={"authorization": f"Bearer {token}"})
            assert response.status_code == 401, kind
            assert reason_of(response, 401, "UNAUTHENTICATED") == "UNAUTHENTICATED"
    assert calls == []


@pytest.mark.parametrize(
    "permissions", ["read_data", {"read_data": True}, ["READ_DATA", "read"], [["read_data"]], None]
)
def test_permissions_of_another_shape_permit_nothing(edge: Edge, permissions: object) -> None:
    token = edge.tokens.issue(permissions=permissions)
    assert edge.http.get("/indices", headers={"authorization": f"Bearer {token}"}).status_code == 403


def test_a_token_in_the_query_is_not_taken(edge: Edge) -> None:
    token = edge.tokens.issue("read_data")
    assert edge.http.get("/indices", params={"access_token": token}).status_code == 401


def test_the_access_log_has_who_and_what_but_no_token_and_no_query(edge: Edge) -> None:
    token = edge.tokens.issue("read_data")
    headers = {"authorization": f"Bearer {token}", "x-request-id": "mine"}
    response = edge.http.get("/option-chain/NIFTY", params={"bucket": "this_week"}, headers=headers)
    edge.http.post("/auth/login?password=hunter2", json={"username": "asha", "password": "hunter2"})
    request_id = response.headers["x-request-id"]
    assert request_id != "mine"

    def logged() -> list[dict[str, Any]]:
        return [line for line in logged_requests(edge.access_log) if line["request_id"] == request_id]

    wait_until(lambda: bool(logged()), "the line of the request")
    (line,) = logged()
    assert (line["method"], line["path"], line["status"]) == ("GET", "/option-chain/NIFTY", 200)
    assert (line["subject"], line["upstream"], line["service"]) == ("user-1", "collection", "gateway")
    text = edge.access_log.read_text(encoding="utf-8")
    assert token not in text
    assert "hunter2" not in text
    assert "this_week" not in text
