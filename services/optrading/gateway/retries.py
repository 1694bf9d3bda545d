"""What the gateway asks again by itself: what no service has seen, and what another instance has."""

from __future__ import annotations

from typing import Any

SHARED = frozenset({"collection"})
"""Clusters whose instances share the work: who is asked may not be who has it."""

_UNSEEN = "connect-failure,refused-stream"
_PREVIOUS_HOSTS = "envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"


def retry_policy(cluster: str, repeatable: bool) -> dict[str, Any] | None:
    """Return how requests to `cluster` are tried again; None when they are not.

    Args:
        cluster: The workload.
        repeatable: Whether doing it twice is doing it once.
    """
    if cluster in SHARED:
        # One of several collectors has what is asked for; the others say NOT_OWNER or IMPORT_ELSEWHERE before they
        # have done anything, and before a stream has begun.
        return {
            "retry_on": f"{_UNSEEN},retriable-headers",
            "retriable_headers": [{"name": "grpc-status", "string_match": {"exact": "14"}}],
            "num_retries": 3,
            "retry_host_predicate": [
                {
                    "name": "envoy.retry_host_predicates.previous_hosts",
                    "typed_config": {"@type": f"type.googleapis.com/{_PREVIOUS_HOSTS}"},
                }
            ],
            "host_selection_retry_max_attempts": 5,
            "retry_back_off": {"base_interval": "0.02s", "max_interval": "0.2s"},
        }
    if repeatable:
        return {
            "retry_on": _UNSEEN,
            "num_retries": 2,
            "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.5s"},
        }
    return None
