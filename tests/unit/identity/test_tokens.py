from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from optrading.identity.keys import SigningKey
from optrading.identity.tokens import AccessTokens
from optrading.identity.users import User

from .manual_clock import ManualClock

KEY = SigningKey.of(Ed25519PrivateKey.generate())
OTHER = SigningKey.of(Ed25519PrivateKey.generate())
USER = User("6f0b", "asha", ("read_data", "write_data"), datetime(2026, 8, 1, tzinfo=UTC), disabled=False)


def issue(
    *, key: SigningKey = KEY, at: datetime | None = None, life: timedelta = timedelta(hours=24), **names: str
) -> str:
    clock = ManualClock(at or datetime.now(UTC))
    names = {"issuer": "optrading", "audience": "optrading", **names}
    return AccessTokens(key, clock, life=life, **names).issue(USER)


def verify(token: str) -> dict[str, Any]:
    """Verify as a reader of the JWKS does, by a library that has no part in issuing."""
    header = jwt.get_unverified_header(token)
    jwks = jwt.PyJWKSet([{"kty": "OKP", "crv": "Ed25519", "x": KEY.x, "kid": KEY.kid, "use": "sig", "alg": "EdDSA"}])
    if header.get("typ") != "at+jwt":
        raise jwt.InvalidTokenError("not an access token")
    try:
        key = jwks[header.get("kid", "")]
    except KeyError:
        raise jwt.InvalidTokenError("unknown key") from None
    required = ["iss", "sub", "aud", "iat", "nbf", "exp", "jti"]
    return jwt.decode(
        token, key, algorithms=["EdDSA"], issuer="optrading", audience="optrading", options={"require": required}
    )


def encode(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def decode(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_a_token_says_who_what_and_how_long() -> None:
    now = datetime.now(UTC)
    claims = verify(issue(at=now))
    jti = claims.pop("jti")
    assert len(jti) == 36
    assert claims == {
        "iss": "optrading",
        "sub": "6f0b",
        "aud": "optrading",
        "iat": int(now.timestamp()),
        "nbf": int(now.timestamp()),
        "exp": int(now.timestamp()) + 86_400,
        "username": "asha",
        "permissions": ["read_data", "write_data"],
    }
    assert jwt.get_unverified_header(issue()) == {"alg": "EdDSA", "typ": "at+jwt", "kid": KEY.kid}


def test_no_two_tokens_have_the_same_id() -> None:
    now = datetime.now(UTC)
    assert len({verify(issue(at=now))["jti"] for _ in range(20)}) == 20


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "iat", "nbf", "exp", "jti", "username", "permissions"])
@given(value=st.none() | st.integers() | st.text() | st.lists(st.text()))
def test_a_token_with_a_changed_claim_is_refused(claim: str, value: object) -> None:
    header, payload, signature = issue().split(".")
    changed = {**decode(payload), claim: value}
    if changed != decode(payload):
        with pytest.raises(jwt.InvalidSignatureError):
            verify(f"{header}.{encode(changed)}.{signature}")


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "none"},
        {"alg": "None"},
        {"alg": "HS256"},
        {"alg": "ES256"},
        {"typ": "JWT"},
        {"typ": "rt+jwt"},
        {"kid": OTHER.kid},
        {"kid": ""},
        {"jku": "https://elsewhere.example/jwks.json"},
        {"crit": ["exp"]},
    ],
)
def test_a_token_with_a_changed_header_is_refused(change: dict[str, object]) -> None:
    header, payload, signature = issue().split(".")
    with pytest.raises(jwt.InvalidTokenError):
        verify(f"{encode({**decode(header), **change})}.{payload}.{signature}")


def test_a_token_without_signature_is_refused() -> None:
    header, payload, _ = issue().split(".")
    for forged in (
        f"{header}.{payload}.",
        f"{encode({'alg': 'none', 'typ': 'at+jwt', 'kid': KEY.kid})}.{payload}.",
        f"{header}.{payload}",
    ):
        with pytest.raises(jwt.InvalidTokenError):
            verify(forged)


def test_the_public_key_is_no_password_of_a_symmetric_token() -> None:
    _, payload, _ = issue().split(".")
    secret = base64.urlsafe_b64decode(KEY.x + "=")
    headers = {"typ": "at+jwt", "kid": KEY.kid}
    with pytest.raises(jwt.InvalidTokenError):
        verify(jwt.encode(decode(payload), secret, algorithm="HS256", headers=headers))


def test_another_key_under_our_keys_name_is_refused() -> None:
    with pytest.raises(jwt.InvalidSignatureError):
        verify(issue(key=SigningKey(OTHER.private, OTHER.x, KEY.kid)))


@given(st.integers(0, 63), st.integers(1, 255))
def test_any_change_to_the_signature_is_refused(place: int, change: int) -> None:
    header, payload, signature = issue().split(".")
    raw = bytearray(base64.urlsafe_b64decode(signature + "=="))
    raw[place] ^= change
    with pytest.raises(jwt.InvalidSignatureError):
        verify(f"{header}.{payload}.{base64.urlsafe_b64encode(raw).rstrip(b'=').decode()}")


def test_a_token_is_valid_from_its_issue_to_its_end_only() -> None:
    now = datetime.now(UTC)
    assert verify(issue(at=now - timedelta(minutes=59), life=timedelta(hours=1)))
    with pytest.raises(jwt.ExpiredSignatureError):
        verify(issue(at=now - timedelta(minutes=61), life=timedelta(hours=1)))
    with pytest.raises(jwt.ImmatureSignatureError):
        verify(issue(at=now + timedelta(minutes=5)))


def test_a_token_of_another_issuer_or_for_another_audience_is_refused() -> None:
    with pytest.raises(jwt.InvalidIssuerError):
        verify(issue(issuer="elsewhere"))
    with pytest.raises(jwt.InvalidAudienceError):
        verify(issue(audience="elsewhere"))
