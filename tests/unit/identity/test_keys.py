from __future__ import annotations

import base64
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from structlog.testing import capture_logs

from optrading.common.state import StateError
from optrading.identity.keys import KEYS_FILE, SigningKey, open_keys


def pem(key: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def test_a_key_is_named_by_its_thumbprint_as_in_rfc_8037_appendix_a3() -> None:
    secret = base64.urlsafe_b64decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
    key = SigningKey.of(Ed25519PrivateKey.from_private_bytes(secret))
    assert key.x == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_first_start_makes_a_key_for_its_owner_only_and_the_second_finds_it(tmp_path: Path) -> None:
    (made,) = open_keys(tmp_path / "identity")
    (found,) = open_keys(tmp_path / "identity")
    assert made.kid == found.kid
    assert (tmp_path / "identity" / KEYS_FILE).stat().st_mode & 0o777 == 0o600
    assert [file.name for file in (tmp_path / "identity").iterdir()] == [KEYS_FILE]


def test_every_first_start_makes_another_key(tmp_path: Path) -> None:
    assert open_keys(tmp_path / "a")[0].kid != open_keys(tmp_path / "b")[0].kid


def test_what_a_crash_left_of_a_first_start_is_no_key(tmp_path: Path) -> None:
    (tmp_path / f"{KEYS_FILE}.new").write_bytes(b"-----BEGIN PRIVATE KEY-----\nMC4C")
    assert len(open_keys(tmp_path)) == 1


def test_a_key_put_in_front_signs_and_the_old_one_still_verifies(tmp_path: Path) -> None:
    (old,) = open_keys(tmp_path)
    new = Ed25519PrivateKey.generate()
    file = tmp_path / KEYS_FILE
    file.write_bytes(pem(new) + file.read_bytes())
    assert [key.kid for key in open_keys(tmp_path)] == [SigningKey.of(new).kid, old.kid]


KEY = Ed25519PrivateKey.generate()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "must hold PEM blocks"),
        (b"not a key", "must hold PEM blocks"),
        (pem(KEY)[:60], "must hold PEM blocks"),
        (pem(KEY) + b"and more", "must hold PEM blocks"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no private key"),
        (pem(ec.generate_private_key(ec.SECP256R1())), "not Ed25519"),
        (pem(KEY) * 2, "same key twice"),
    ],
    ids=["empty", "text", "cut short", "followed by text", "damaged", "another kind", "twice the same"],
)
def test_a_file_of_other_things_is_refused_and_left_alone(tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / KEYS_FILE).write_bytes(content)
    with pytest.raises(StateError, match=says):
        open_keys(tmp_path)
    assert (tmp_path / KEYS_FILE).read_bytes() == content


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="file"):
        open_keys(tmp_path / "file")


def test_keys_that_others_can_read_are_warned_about(tmp_path: Path) -> None:
    open_keys(tmp_path)
    (tmp_path / KEYS_FILE).chmod(0o644)
    with capture_logs() as logs:
        open_keys(tmp_path)
    assert [(entry["log_level"], entry["mode"]) for entry in logs] == [("warning", "0644")]


def test_a_key_shows_nothing_secret() -> None:
    key = SigningKey.of(KEY)
    assert repr(key) == f"SigningKey(kid={key.kid!r})"
