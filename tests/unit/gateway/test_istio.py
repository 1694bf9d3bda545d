"""Mesh policies say what the contract says, no more: held against the rule that services check in process."""

from __future__ import annotations

import fnmatch
import shutil
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from optrading.common.access import CONTRACT, read_contract
from optrading.gateway import istio


@cache
def manifests() -> list[dict[str, Any]]:
    return [manifest for text in istio.render_istio(read_contract()).values() for manifest in yaml.safe_load_all(text)]


def allowed(workload: str, caller: str, path: str) -> bool:
    """Return what Istio decides: allowed when a rule of a policy that selects the workload matches."""
    identity = istio.principal(istio.TRUST_DOMAIN, caller)
    return any(
        identity in source["source"]["principals"]
        and any(fnmatch.fnmatchcase(path, pattern) for pattern in operation["operation"]["paths"])
        for policy in manifests()
        if policy["spec"].get("selector", {}).get("matchLabels") == {"app.kubernetes.io/name": workload}
        for rule in policy["spec"]["rules"]
        for source in rule["from"]
        for operation in rule["to"]
    )


def test_the_checked_in_policies_are_what_the_contract_gives() -> None:
    for name, text in istio.render_istio(read_contract()).items():
        assert (istio.istio_directory() / name).read_text(encoding="utf-8") == text, "run `make generate`"
    assert istio.main(["--check"]) == 0


@pytest.mark.parametrize("method", sorted(read_contract()))
def test_exactly_the_callers_of_the_contract_may_call_a_method(method: str) -> None:
    access = read_contract()[method]
    for caller in CONTRACT:
        for workload in CONTRACT:
            expected = workload == access.workload and caller in access.callers
            assert allowed(workload, caller, method) is expected, (caller, workload)


def test_every_workload_may_ask_for_health_and_only_the_gateway_for_reflection() -> None:
    for workload in CONTRACT:
        for caller in CONTRACT:
            assert allowed(workload, caller, "/grpc.health.v1.Health/Check")
            reflected = allowed(workload, caller, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
            assert reflected is (caller == "gateway")
        assert not allowed(workload, "somebody", "/grpc.health.v1.Health/Check")


def test_what_no_policy_allows_is_refused_and_plaintext_too() -> None:
    by_name = {(each["kind"], each["metadata"]["name"]): each for each in manifests()}
    assert by_name["AuthorizationPolicy", "nobody"]["spec"] == {}
    assert by_name["PeerAuthentication", "strict"]["spec"] == {"mtls": {"mode": "STRICT"}}
    assert {each["metadata"]["namespace"] for each in manifests()} == {"optrading"}


def test_a_removed_rule_is_noticed_and_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(istio.istio_directory(), tmp_path / "istio")
    monkeypatch.setattr(istio, "istio_directory", lambda: tmp_path / "istio")
    policies = tmp_path / "istio" / "authorization-policies.yaml"
    policies.write_text(policies.read_text().replace("sa/storage", "sa/somebody", 1))
    assert istio.main(["--check"]) == 1
    assert "make generate" in capsys.readouterr().err
    assert istio.main([]) == 0
    assert istio.main(["--check"]) == 0
