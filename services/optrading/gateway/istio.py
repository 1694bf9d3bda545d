"""Writes mesh/istio: strict mTLS, and who may call which method, as the contract says; `--check` only compares."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from optrading.common.access import CONTRACT, Access, read_contract
from optrading.common.interceptors import REFLECTION_CALLERS
from optrading.common.tls import NAMESPACE, spiffe_id
from optrading.gateway.skeleton import gateway_directory

TRUST_DOMAIN = "cluster.local"
"""Istio's own, unless a cluster was installed with another."""

HEALTH = "/grpc.health.v1.Health/*"
REFLECTION = "/grpc.reflection.*"
"""One of its two versions; clients try both."""

HEADER = """\
# Rendered from the contract by `python -m optrading.gateway.istio`; do not edit.
"""

Manifest = dict[str, Any]


def render_istio(contract: Mapping[str, Access], trust_domain: str = TRUST_DOMAIN) -> dict[str, str]:
    """Return the text of every file in mesh/istio, by name.

    Args:
        contract: The access rule of every method.
        trust_domain: Trust domain of the cluster's identities.
    """
    policies = [_nobody(), *(_policy(workload, contract, trust_domain) for workload in sorted(CONTRACT))]
    return {"peer-authentication.yaml": _text([_strict()]), "authorization-policies.yaml": _text(policies)}


def principal(trust_domain: str, workload: str) -> str:
    """Return the identity of `workload` as Istio writes it: without the scheme."""
    return spiffe_id(trust_domain, workload).removeprefix("spiffe://")


def _strict() -> Manifest:
    return _manifest("PeerAuthentication", "strict", {"mtls": {"mode": "STRICT"}})


def _nobody() -> Manifest:
    # An ALLOW policy without rules: what no other policy allows is refused.
    return _manifest("AuthorizationPolicy", "nobody", {})


def _policy(workload: str, contract: Mapping[str, Access], trust_domain: str) -> Manifest:
    methods: dict[frozenset[str], list[str]] = defaultdict(list)
    for access in contract.values():
        if access.workload == workload:
            methods[access.callers].append(access.method)
    methods[frozenset(CONTRACT)].append(HEALTH)
    methods[REFLECTION_CALLERS].append(REFLECTION)
    rules = [_rule(callers, paths, trust_domain) for callers, paths in methods.items()]
    selector = {"matchLabels": {"app.kubernetes.io/name": workload}}
    return _manifest(
        "AuthorizationPolicy",
        workload,
        {"selector": selector, "action": "ALLOW", "rules": sorted(rules, key=lambda rule: str(rule["to"]))},
    )


def _rule(callers: Iterable[str], paths: Iterable[str], trust_domain: str) -> Manifest:
    return {
        "from": [{"source": {"principals": [principal(trust_domain, caller) for caller in sorted(callers)]}}],
        "to": [{"operation": {"methods": ["POST"], "paths": sorted(paths)}}],
    }


def _manifest(kind: str, name: str, spec: Manifest) -> Manifest:
    return {
        "apiVersion": "security.istio.io/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }


def _text(manifests: Iterable[Manifest]) -> str:
    return HEADER + yaml.safe_dump_all(manifests, sort_keys=False, width=118)


def istio_directory() -> Path:
    """Return mesh/istio beside the folder of the gateway's skeleton."""
    return gateway_directory().parent / "mesh" / "istio"


def main(arguments: list[str]) -> int:
    """Write or compare the files; return 1 when one is not current."""
    parser = argparse.ArgumentParser(prog="python -m optrading.gateway.istio", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not current")
    only_check = parser.parse_args(arguments).check
    stale = []
    for name, text in render_istio(read_contract()).items():
        path = istio_directory() / name
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        if only_check:
            stale.append(path)
        else:
            path.write_text(text, encoding="utf-8")
    for path in stale:
        print(f"{path} is not what the contract gives: run `make generate`", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
