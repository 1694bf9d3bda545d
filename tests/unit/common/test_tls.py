from __future__ import annotations

from pathlib import Path

import pytest

from optrading.common.tls import CertificateError, channel_credentials, server_credentials, spiffe_id, workload_of
from optrading.local.authority import ensure_certificates


@pytest.mark.parametrize("workload", ["collection", "gateway"])
def test_an_identity_names_its_workload(workload: str) -> None:
    assert workload_of(spiffe_id("optrading.local", workload), "optrading.local") == workload


@pytest.mark.parametrize(
    "identity",
    [
        "",
        "storage",
        "spiffe://optrading.local/ns/optrading/sa/",
        "spiffe://optrading.local/ns/optrading/sa/storage/x",
        "spiffe://optrading.local/ns/other/sa/storage",
        "spiffe://elsewhere/ns/optrading/sa/storage",
        "spiffe://optrading.local.evil/ns/optrading/sa/storage",
        "https://optrading.local/ns/optrading/sa/storage",
    ],
)
def test_any_other_identity_names_none(identity: str) -> None:
    assert workload_of(identity, "optrading.local") is None


def test_a_missing_certificate_is_named_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CertificateError, match=r"ca\.pem: No such file or directory; `optrading up`"):
        server_credentials(tmp_path, "storage")


@pytest.mark.parametrize("name", ["ca.pem", "storage.pem", "storage.key"])
def test_a_damaged_certificate_or_key_is_found_before_serving(tmp_path: Path, name: str) -> None:
    ensure_certificates(tmp_path, "optrading.local", ["storage"])
    (tmp_path / name).write_text("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")
    with pytest.raises(CertificateError, match="damaged or do not belong together"):
        server_credentials(tmp_path, "storage")


def test_a_key_of_another_certificate_is_found_before_calling(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, "optrading.local", ["storage", "analytics"])
    (tmp_path / "storage.key").write_bytes((tmp_path / "analytics.key").read_bytes())
    with pytest.raises(CertificateError, match=r"storage\.pem and storage\.key"):
        channel_credentials(tmp_path, "storage")
