"""The Ed25519 keys of access tokens: one file of PEM blocks, the first signs, all of them verify.

The file is made at first start, readable by its owner only. To change keys, put a new block in front
(`openssl genpkey -algorithm ed25519`) and start again; take the old one out when its last token has expired.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from optrading.common.state import StateError

log = structlog.get_logger()

KEYS_FILE = "signing-keys.pem"
"""Name of the file in the state directory."""

_OWNER_ONLY = 0o600
_PEM_BLOCK = re.compile(rb"-----BEGIN PRIVATE KEY-----.+?-----END PRIVATE KEY-----\s*", re.DOTALL)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key pair.

    Attributes:
        private: Signs. Never logged, never sent.
        x: The public key, 32 bytes in base64url without padding (RFC 8037).
        kid: Its RFC 7638 thumbprint, so that a key has the same name wherever it is seen.
    """

    private: Ed25519PrivateKey
    x: str
    kid: str

    @classmethod
    def of(cls, private: Ed25519PrivateKey) -> SigningKey:
        """Return `private` with its public half and its name."""
        x = _base64url(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        members = json.dumps({"crv": "Ed25519", "kty": "OKP", "x": x}, separators=(",", ":"), sort_keys=True)
        return cls(private, x, _base64url(hashlib.sha256(members.encode()).digest()))

    def __repr__(self) -> str:
        """Name the key; nothing secret."""
        return f"SigningKey(kid={self.kid!r})"


def open_keys(directory: Path) -> tuple[SigningKey, ...]:
    """Return the keys kept in `directory`, the signing one first; make one when there is none.

    Raises:
        StateError: The file cannot be read or written, or holds something else than Ed25519 keys.
    """
    path = directory / KEYS_FILE
    try:
        if not path.exists():
            _write(path, Ed25519PrivateKey.generate())
            log.info("signing_key_made", path=str(path))
        mode = path.stat().st_mode & 0o777
        content = path.read_bytes()
    except OSError as error:
        raise StateError(f"{error.filename or path}: {error.strerror}") from error
    if mode & 0o007:
        # A warning and no refusal: some file systems (Windows drives in WSL) cannot restrict a file.
        log.warning("signing_keys_readable_by_others", path=str(path), mode=f"{mode:04o}")
    keys = tuple(SigningKey.of(_load(path, block)) for block in _PEM_BLOCK.findall(content))
    if not keys or _PEM_BLOCK.sub(b"", content).strip():
        raise StateError(f"{path} must hold PEM blocks of private keys and nothing else")
    if len({key.kid for key in keys}) < len(keys):
        raise StateError(f"{path} holds the same key twice")
    return keys


def _load(path: Path, block: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(block, password=None)
    except ValueError as error:
        raise StateError(f"{path} holds a block that is no private key") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise StateError(f"{path} holds a key that is not Ed25519")
    return key


def _write(path: Path, key: Ed25519PrivateKey) -> None:
    """Put the whole file in place at once: a crash leaves either no key or a good one, on disk."""
    content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _OWNER_ONLY)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
