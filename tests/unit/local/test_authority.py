"""Certificates of the local mesh."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from optrading.common.state import StateError
from optrading.common.tls import channel_credentials, server_credentials
from optrading.local.authority import WORKLOADS, ensure_certificates, expiry_of

DOMAIN = "optrading.local"


class FixedClock:
    def __init__(self, instant: datetime) -> None:
        self.instant = instant

    def now(self) -> datetime:
        return self.instant

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing here waits")


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_the_first_start_makes_an_authority_and_a_certificate_per_workload(tmp_path: Path) -> None:
    ensure_certificates(tmp_path / "tls", DOMAIN)
    names = {f"{name}.{kind}" for name in ("ca", *WORKLOADS) for kind in ("pem", "key")}
    assert contents(tmp_path / "tls").keys() == names
    assert stat.S_IMODE((tmp_path / "tls").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "tls").glob("*.key")} == {0o600}


def test_a_certificate_names_the_workload_in_every_way_that_peers_compare(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, DOMAIN, ["storage"])
    leaf = x509.load_pem_x509_certificate((tmp_path / "storage.pem").read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [f"spiffe://{DOMAIN}/ns/optrading/sa/storage"]
    assert names.get_values_for_type(x509.DNSName) == ["storage.optrading", "localhost"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]


def test_a_second_start_leaves_everything_as_it_is(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, DOMAIN)
    before = contents(tmp_path)
    ensure_certificates(tmp_path, DOMAIN)
    assert contents(tmp_path) == before


def test_leaves_are_renewed_in_their_last_thirty_days_and_the_authority_stays(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    ensure_certificates(tmp_path, DOMAIN, ["storage"])
    before = contents(tmp_path)
    ensure_certificates(tmp_path, DOMAIN, ["storage"], clock=FixedClock(now + timedelta(days=334)))
    assert contents(tmp_path) == before
    later = now + timedelta(days=336)
    ensure_certificates(tmp_path, DOMAIN, ["storage"], clock=FixedClock(later))
    assert contents(tmp_path)["ca.pem"] == before["ca.pem"]
    assert expiry_of(tmp_path / "storage.pem") > later + timedelta(days=360)


def test_another_trust_domain_gives_new_identities(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, DOMAIN, ["storage"])
    ensure_certificates(tmp_path, "example.org", ["storage"])
    assert (
        b"spiffe://example.org/"
        in x509.load_pem_x509_certificate((tmp_path / "storage.pem").read_bytes())
        .extensions.get_extension_for_class(x509.SubjectAlternativeName)
        .value.public_bytes()
    )


@pytest.mark.parametrize("damaged", ["storage.pem", "storage.key", "ca.key", "ca.pem"])
@pytest.mark.parametrize("how", ["gone", "cut", "exchanged"])
def test_a_damaged_file_is_made_again_and_all_fits_together(tmp_path: Path, damaged: str, how: str) -> None:
    ensure_certificates(tmp_path / "tls", DOMAIN, ["storage"])
    path = tmp_path / "tls" / damaged
    if how == "gone":
        path.unlink()
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:50])
    else:
        ensure_certificates(tmp_path / "other", DOMAIN, ["storage"])
        path.write_bytes((tmp_path / "other" / damaged).read_bytes())
    ensure_certificates(tmp_path / "tls", DOMAIN, ["storage"])
    authority = x509.load_pem_x509_certificate((tmp_path / "tls" / "ca.pem").read_bytes())
    leaf = x509.load_pem_x509_certificate((tmp_path / "tls" / "storage.pem").read_bytes())
    leaf.verify_directly_issued_by(authority)
    before = contents(tmp_path / "tls")
    ensure_certificates(tmp_path / "tls", DOMAIN, ["storage"])
    assert contents(tmp_path / "tls") == before


async def test_grpc_accepts_the_certificates_of_one_authority_only(tmp_path: Path) -> None:
    ensure_certificates(tmp_path / "ours", DOMAIN, ["storage", "gateway"])
    ensure_certificates(tmp_path / "theirs", DOMAIN, ["storage", "gateway"])
    (tmp_path / "theirs" / "ca.pem").write_bytes((tmp_path / "ours" / "ca.pem").read_bytes())
    server = grpc.aio.server()
    port = server.add_secure_port("127.0.0.1:0", server_credentials(tmp_path / "ours", "storage"))
    await server.start()
    codes = {}
    for whose in ("ours", "theirs"):
        credentials = channel_credentials(tmp_path / whose, "gateway")
        name = (("grpc.ssl_target_name_override", "storage.optrading"),)
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=name) as channel:
            try:
                await channel.unary_unary("/none/None")(b"", timeout=10)
            except grpc.aio.AioRpcError as error:
                codes[whose] = error.code()
    await server.stop(None)
    assert codes == {"ours": grpc.StatusCode.UNIMPLEMENTED, "theirs": grpc.StatusCode.UNAVAILABLE}


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateError, match="file"):
        ensure_certificates(tmp_path / "file" / "tls", DOMAIN)
