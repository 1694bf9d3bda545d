"""The mesh's own certificate authority, made at first start: every workload gets a certificate of its identity."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from optrading.common.clock import Clock, SystemClock
from optrading.common.files import write_atomically
from optrading.common.state import StateError
from optrading.common.tls import server_name, spiffe_id

WORKLOADS: tuple[str, ...] = ("collection", "storage", "analytics", "identity", "gateway")
"""Who gets a certificate."""

AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=365)
RENEWAL_MARGIN = timedelta(days=30)
"""A certificate with less left than this is replaced at the next start."""

# A clock that is a little behind must not find a new certificate to be of the future.
_BACKDATING = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class _Pair:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def ensure_certificates(
    directory: Path, trust_domain: str, workloads: Sequence[str] = WORKLOADS, *, clock: Clock | None = None
) -> None:
    """Make sure that `directory` holds ca.pem, ca.key and a valid <workload>.pem and .key per workload.

    What is valid for another 30 days is left alone. A leaf is issued again when it is missing, damaged, of another
    authority or for another trust domain; a new authority is made when there is none that can sign.

    Args:
        directory: Made when missing; mode 0700, keys 0600.
        trust_domain: Trust domain of the SPIFFE identities.
        workloads: Names of the identities.
        clock: Decides what has expired.

    Raises:
        StateError: The directory cannot be written.
    """
    now = (clock or SystemClock()).now()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(0o700)
        authority = _read(directory, "ca")
        if authority is None or not _lasts(authority.certificate, now):
            authority = _new_authority(trust_domain, now)
            _write(directory, "ca", authority)
        for workload in workloads:
            leaf = _read(directory, workload)
            if leaf is None or not _serves(leaf.certificate, authority, trust_domain, workload, now):
                _write(directory, workload, _new_leaf(authority, trust_domain, workload, now))
    except OSError as error:
        raise StateError(f"{error.filename or directory} cannot be written: {error.strerror}") from error


def expiry_of(path: Path) -> datetime:
    """Return until when the certificate in `path` is valid, UTC.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no certificate.
    """
    return x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc


def _read(directory: Path, name: str) -> _Pair | None:
    """Return the pair; None when a file is missing or damaged, or the two do not belong together."""
    try:
        key = serialization.load_pem_private_key((directory / f"{name}.key").read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate((directory / f"{name}.pem").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        return None
    (directory / f"{name}.key").chmod(0o600)
    return _Pair(key, certificate)


def _write(directory: Path, name: str, pair: _Pair) -> None:
    # Key first: after a crash between the two, the pair does not match and is made again.
    pem = serialization.Encoding.PEM
    private = pair.key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_atomically(directory / f"{name}.key", private, 0o600)
    write_atomically(directory / f"{name}.pem", pair.certificate.public_bytes(pem), 0o644)


def _lasts(certificate: x509.Certificate, now: datetime) -> bool:
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEWAL_MARGIN


def _serves(leaf: x509.Certificate, authority: _Pair, trust_domain: str, workload: str, now: datetime) -> bool:
    try:
        leaf.verify_directly_issued_by(authority.certificate)
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (InvalidSignature, TypeError, ValueError, x509.ExtensionNotFound):
        return False
    identities = names.get_values_for_type(x509.UniformResourceIdentifier)
    return identities == [spiffe_id(trust_domain, workload)] and _lasts(leaf, now)


def _new_authority(trust_domain: str, now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    # The serial number in the name: two authorities are never taken for each other.
    serial = x509.random_serial_number()
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "optrading"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{trust_domain} {serial:x}"[:64]),
        ]
    )
    certificate = (
        _builder(subject, subject, key, serial, now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _Pair(key, certificate)


def _new_leaf(authority: _Pair, trust_domain: str, workload: str, now: datetime) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, workload)])
    names: list[x509.GeneralName] = [
        x509.UniformResourceIdentifier(spiffe_id(trust_domain, workload)),
        x509.DNSName(server_name(workload)),
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    ]
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    issuer_key = authority.key.public_key()
    lifetime = min(LEAF_LIFETIME, authority.certificate.not_valid_after_utc - now)
    certificate = (
        _builder(subject, authority.certificate.subject, key, x509.random_serial_number(), now, lifetime)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return _Pair(key, certificate)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    serial: int,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now.astimezone(UTC) - _BACKDATING)
        .not_valid_after(now.astimezone(UTC) + lifetime)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
