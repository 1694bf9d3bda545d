"""The policy of a route: who may use it. A route without one cannot be rendered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

JWT_FILTER = "envoy.filters.http.jwt_authn"
RBAC_FILTER = "envoy.filters.http.rbac"
TOKEN_METADATA = "access_token"  # noqa: S105 - a name, no secret
"""Where jwt_authn leaves the claims of a verified token, and the name of its requirement."""
PUBLIC = "public"

_TYPES = "type.googleapis.com/envoy.extensions.filters.http"
JWT_PER_ROUTE = f"{_TYPES}.jwt_authn.v3.PerRouteConfig"
RBAC_PER_ROUTE = f"{_TYPES}.rbac.v3.RBACPerRoute"

Policy = dict[str, Any]


class UnprotectedRouteError(Exception):
    """A route has no policy, or one that says nothing."""


def public_policy() -> Policy:
    """Return the policy of a route that is open to everybody, without a token."""
    return {
        JWT_FILTER: {"@type": JWT_PER_ROUTE, "disabled": True},
        RBAC_FILTER: _allow(PUBLIC, {"any": True}),
    }


def scope_policy(scope: str) -> Policy:
    """Return the policy of a route that needs a valid token whose claim `permissions` holds `scope`."""
    claim = {
        "filter": JWT_FILTER,
        "path": [{"key": TOKEN_METADATA}, {"key": "permissions"}],
        "value": {"list_match": {"one_of": {"string_match": {"exact": scope}}}},
    }
    return {
        JWT_FILTER: {"@type": JWT_PER_ROUTE, "requirement_name": TOKEN_METADATA},
        RBAC_FILTER: _allow(scope, {"sourced_metadata": {"metadata_matcher": claim}}),
    }


def policy_for(scope: str | None) -> Policy:
    """Return the policy of a method that needs `scope`; None means that it is public."""
    return public_policy() if scope is None else scope_policy(scope)


def policy_name(route: Mapping[str, Any]) -> str:
    """Return what a route asks of its callers: a permission, or `public`.

    Raises:
        UnprotectedRouteError: It has no policy, or its parts contradict each other.
    """
    name = str(route.get("name", route.get("match")))
    filters = route.get("typed_per_filter_config", {})
    try:
        ((policy, _),) = filters[RBAC_FILTER]["rbac"]["rules"]["policies"].items()
    except (KeyError, TypeError, ValueError):
        raise UnprotectedRouteError(f"route {name} has no policy") from None
    expected = policy_for(None if policy == PUBLIC else policy)
    if {filter_: filters.get(filter_) for filter_ in expected} != expected:
        raise UnprotectedRouteError(f"route {name} does not enforce the policy it names, {policy!r}")
    return str(policy)


def require_policies(route_configuration: Mapping[str, Any]) -> None:
    """Check that every route has a policy of its own.

    Raises:
        UnprotectedRouteError: One has none, or one that is not complete.
    """
    for host in route_configuration["virtual_hosts"]:
        for route in host["routes"]:
            policy_name(route)


def _allow(name: str, principal: dict[str, Any]) -> dict[str, Any]:
    policy = {"permissions": [{"any": True}], "principals": [principal]}
    return {"@type": RBAC_PER_ROUTE, "rbac": {"rules": {"action": "ALLOW", "policies": {name: policy}}}}
