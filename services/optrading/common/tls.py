"""mTLS between services: credentials from files, and the SPIFFE identity of the peer.

An identity is `spiffe://<trust domain>/ns/optrading/sa/<workload>` as in Istio. The certificate also carries the DNS
name `<workload>.optrading`, which is what grpcio compares when a client checks whom it reached.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import grpc

NAMESPACE = "optrading"
"""Kubernetes namespace in identities."""


class CertificateError(Exception):
    """A certificate or key cannot be read, or they do not belong together."""


def spiffe_id(trust_domain: str, workload: str) -> str:
    """Return the identity of `workload`."""
    return f"spiffe://{trust_domain}/ns/{NAMESPACE}/sa/{workload}"


def server_name(workload: str) -> str:
    """Return the DNS name in the certificate of `workload`."""
    return f"{workload}.{NAMESPACE}"


def workload_of(identity: str, trust_domain: str) -> str | None:
    """Return the workload that `identity` names, or None when it is not one of this mesh."""
    prefix = spiffe_id(trust_domain, "")
    name = identity.removeprefix(prefix)
    return name if identity.startswith(prefix) and name and "/" not in name else None


def server_credentials(directory: Path, workload: str) -> grpc.ServerCredentials:
    """Return credentials that demand a certificate of the mesh from every client.

    Raises:
        CertificateError: A file cannot be read or used.
    """
    authority, certificate, key = _read(directory, workload)
    return grpc.ssl_server_credentials([(key, certificate)], root_certificates=authority, require_client_auth=True)


def channel_credentials(directory: Path, workload: str) -> grpc.ChannelCredentials:
    """Return credentials with which `workload` calls others.

    Raises:
        CertificateError: A file cannot be read or used.
    """
    authority, certificate, key = _read(directory, workload)
    return grpc.ssl_channel_credentials(root_certificates=authority, private_key=key, certificate_chain=certificate)


def _read(directory: Path, workload: str) -> tuple[bytes, bytes, bytes]:
    authority, certificate, key = (directory / name for name in ("ca.pem", f"{workload}.pem", f"{workload}.key"))
    try:
        content = authority.read_bytes(), certificate.read_bytes(), key.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"{error.filename}: {error.strerror}; `optrading up` makes certificates, or set MESH_TLS=sidecar"
        ) from error
    try:
        # grpcio would only say later, and to nobody in particular, that something is wrong with one of them.
        check = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        check.load_verify_locations(authority)
        check.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        raise CertificateError(
            f"{directory}: {authority.name}, {certificate.name} and {key.name} are damaged or do not belong together;"
            " `optrading up` makes them again"
        ) from error
    return content
