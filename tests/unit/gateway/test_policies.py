from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from optrading.common.access import ContractError, access_of, read_contract
from optrading.gateway import routes
from optrading.gateway.policies import (
    JWT_FILTER,
    RBAC_FILTER,
    UnprotectedRouteError,
    policy_name,
    public_policy,
    require_policies,
    scope_policy,
)
from optrading.gateway.routes import RouteParameters, route_configuration

PARAMETERS = RouteParameters(Path("contract.pb"), unary_timeout_s=30.0, stream_idle_timeout_s=60.0)


@pytest.fixture
def configuration() -> dict[str, Any]:
    return copy.deepcopy(route_configuration(read_contract(), PARAMETERS))


def test_the_routes_of_the_contract_all_have_policies(configuration: dict[str, Any]) -> None:
    require_policies(configuration)


def test_a_route_without_a_policy_is_found_wherever_it_is(configuration: dict[str, Any]) -> None:
    every = configuration["virtual_hosts"][0]["routes"]
    for route in every:
        kept = route.pop("typed_per_filter_config")
        with pytest.raises(UnprotectedRouteError):
            require_policies(configuration)
        route["typed_per_filter_config"] = kept
    require_policies(configuration)


def test_a_route_without_a_policy_cannot_be_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "policy_for", lambda scope: {})
    with pytest.raises(UnprotectedRouteError, match="has no policy"):
        route_configuration(read_contract(), PARAMETERS)


def test_a_method_without_an_access_option_cannot_be_built() -> None:
    file = FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    file.message_type.add(name="M")
    file.service.add(name="S").method.add(name="Leak", input_type=".t.M", output_type=".t.M")
    pool = DescriptorPool()
    pool.Add(file)
    with pytest.raises(ContractError, match="Leak"):
        access_of("t", pool.FindServiceByName("t.S").methods[0])


def without(policy: dict[str, Any], *path: str) -> dict[str, Any]:
    changed = copy.deepcopy(policy)
    part = changed
    for key in path[:-1]:
        part = part[key]
    del part[path[-1]]
    return changed


RULES = (RBAC_FILTER, "rbac", "rules")


@pytest.mark.parametrize(
    "weakened",
    [
        without(scope_policy("read_data"), RBAC_FILTER),
        without(scope_policy("read_data"), JWT_FILTER),
        without(scope_policy("read_data"), RBAC_FILTER, "rbac"),
        without(scope_policy("read_data"), *RULES, "action"),
        without(scope_policy("read_data"), *RULES, "policies", "read_data"),
        scope_policy("read_data") | {JWT_FILTER: public_policy()[JWT_FILTER]},
        scope_policy("read_data") | {RBAC_FILTER: public_policy()[RBAC_FILTER]},
        public_policy() | {RBAC_FILTER: {"@type": public_policy()[RBAC_FILTER]["@type"]}},
    ],
)
def test_a_policy_that_lacks_a_part_is_none(weakened: dict[str, Any]) -> None:
    with pytest.raises(UnprotectedRouteError):
        policy_name({"name": "weak", "typed_per_filter_config": weakened})


def test_a_policy_is_known_by_what_it_asks_for() -> None:
    assert policy_name({"typed_per_filter_config": public_policy()}) == "public"
    assert policy_name({"typed_per_filter_config": scope_policy("admin_access")}) == "admin_access"
