"""The gateway as one workload of the mesh: whom it trusts, and without TLS of its own beside a sidecar."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx
import pytest

from optrading.common.access import CONTRACT
from optrading.common.settings import MeshTls
from optrading.gateway.configuration import dump_yaml, envoy_command
from optrading.gateway.descriptors import write_descriptor_set
from optrading.local.authority import ensure_certificates
from tests.gateway.answers import reason_of
from tests.gateway.edge import DEADLINE_S, Edge, render, running_edge, running_envoy, wait_until

TRUST_DOMAIN = "optrading.local"


def stat(http: httpx.Client, configuration: dict, name: str) -> int:
    """Return a counter of Envoy; 0 before there is one."""
    socket = configuration["admin"]["address"]["socket_address"]
    url = f"http://{socket['address']}:{socket['port_value']}/stats"
    try:
        lines = http.get(url, params={"filter": f"^{name}$"}).text.split()
    except httpx.ConnectError:
        return 0
    return int(lines[-1]) if lines else 0


def test_a_service_with_the_certificate_of_another_is_not_trusted(edge: Edge, tmp_path: Path) -> None:
    servers = edge.upstreams.servers
    services = {workload: f"127.0.0.1:{server.port}" for workload, server in servers.items()}
    services["collection"], services["storage"] = services["storage"], services["collection"]
    tls = tmp_path / "tls"
    tls.symlink_to(edge.access_log.parent / "tls")
    with running_envoy(tmp_path, services) as (_, http, configuration):
        refused = "cluster.collection.ssl.fail_verify_san"
        wait_until(lambda: stat(http, configuration, refused) > 0, "a refused certificate")
        headers = edge.bearer("read_data", "admin_access")
        wait_until(lambda: http.get("/admin/users", headers=headers).status_code == 200, "identity")
        response = http.get("/indices", headers=headers)
        assert reason_of(response, 503, "UNAVAILABLE") == "DEPENDENCY_UNAVAILABLE"


def test_a_service_of_another_authority_is_not_trusted(edge: Edge, tmp_path: Path) -> None:
    ensure_certificates(tmp_path / "tls", TRUST_DOMAIN)
    services = {workload: f"127.0.0.1:{server.port}" for workload, server in edge.upstreams.servers.items()}
    with running_envoy(tmp_path, services) as (_, http, configuration):
        wait_until(lambda: stat(http, configuration, "cluster.gateway.ssl.fail_verify_error") > 0, "a refusal")
        assert reason_of(http.get("/health"), 503, "UNAVAILABLE") == "DEPENDENCY_UNAVAILABLE"


def test_beside_a_sidecar_the_gateway_speaks_plaintext(tmp_path: Path) -> None:
    with running_edge(tmp_path, MeshTls.SIDECAR) as edge:
        response = edge.http.get("/option-chain/NIFTY", headers=edge.bearer("read_data"))
        assert response.json()["chain"]["index"] == "NIFTY"
        assert edge.http.get("/option-chain/NIFTY").status_code == 401
    assert not (tmp_path / "tls").exists()


@pytest.mark.parametrize("host", ["127.0.0.1", "collection.optrading.svc.cluster.local"])
def test_envoy_accepts_the_configuration_with_addresses_and_with_names(tmp_path: Path, host: str) -> None:
    write_descriptor_set(tmp_path / "contract.pb")
    services = dict.fromkeys(CONTRACT, f"{host}:50051")
    path = tmp_path / "envoy.yaml"
    path.write_text(dump_yaml(render(tmp_path, services, MeshTls.SIDECAR)), encoding="utf-8")
    command = [*envoy_command(path), "--mode", "validate"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert run.returncode == 0, run.stderr
    # It complains of nothing but the keys, which it cannot fetch while it only reads.
    complaints = [line for line in run.stderr.splitlines() if '"level":"' in line and "fetch" not in line]
    assert complaints == []
