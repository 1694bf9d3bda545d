"""What the gateway itself answers, always as google.rpc.Status: JSON for REST, status and details for gRPC."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from google.protobuf.any_pb2 import Any as PackedMessage
from google.rpc import code_pb2, error_details_pb2, status_pb2

from optrading.common.errors import DOMAIN
from optrading.gateway.policies import JWT_FILTER, TOKEN_METADATA

ROUTE_METADATA = "optrading"
"""Where a route says which permission it needs."""
QUERY_METADATA = "optrading.query"
"""Where check_query.lua leaves what it refused."""

_TYPES = "type.googleapis.com/google.rpc"


@dataclass(frozen=True, slots=True)
class Reply:
    """The gateway's answer for one HTTP status.

    Attributes:
        http: HTTP status.
        code: Name of the gRPC status, such as `NOT_FOUND`.
        reason: Reason of its ErrorInfo.
        message: What people read; may hold Envoy's format operators.
        metadata: Metadata of its ErrorInfo in JSON.
        fixed_message: What gRPC clients read, without operators; empty when it is the same.
    """

    http: int
    code: str
    reason: str
    message: str
    metadata: dict[str, str] = field(default_factory=dict)
    fixed_message: str = ""


_CAUSE = {"cause": "%LOCAL_REPLY_BODY%"}

_PERMISSION = f"%METADATA(ROUTE:{ROUTE_METADATA}:permission)%"
_PATHS = "<paths>"

REPLIES: tuple[Reply, ...] = (
    Reply(
        400,
        "INVALID_ARGUMENT",
        "MALFORMED_REQUEST",
        "the request cannot be read: %LOCAL_REPLY_BODY%",
        fixed_message="the request cannot be read",
    ),
    Reply(
        401,
        "UNAUTHENTICATED",
        "UNAUTHENTICATED",
        "a valid access token is needed: log in at /auth/login and send `authorization: Bearer <access_token>`",
        _CAUSE,
    ),
    Reply(
        403,
        "PERMISSION_DENIED",
        "PERMISSION_DENIED",
        f"this needs the permission {_PERMISSION}, which the access token does not hold",
        {"permission": _PERMISSION},
        "the access token does not hold the permission that this method needs",
    ),
    Reply(
        404,
        "NOT_FOUND",
        "UNKNOWN_PATH",
        f"there is nothing at this path; there are: {_PATHS}",
        fixed_message="the gateway has no such method",
    ),
    Reply(
        405,
        "UNIMPLEMENTED",
        "METHOD_NOT_ALLOWED",
        "this path does not have this HTTP method; the `allow` header names those it has",
    ),
    Reply(408, "DEADLINE_EXCEEDED", "REQUEST_TIMEOUT", "the request did not arrive in time"),
    Reply(413, "INVALID_ARGUMENT", "REQUEST_TOO_LARGE", "the body of the request is too long"),
    Reply(431, "INVALID_ARGUMENT", "HEADERS_TOO_LARGE", "the headers of the request are too many or too long"),
    Reply(500, "INTERNAL", "GATEWAY_FAILURE", "the gateway failed", _CAUSE),
    Reply(502, "UNAVAILABLE", "DEPENDENCY_UNAVAILABLE", "the service behind the gateway gave no proper answer", _CAUSE),
    Reply(
        503,
        "UNAVAILABLE",
        "DEPENDENCY_UNAVAILABLE",
        "the service behind the gateway is not serving; try again",
        _CAUSE,
    ),
    Reply(504, "DEADLINE_EXCEEDED", "DEADLINE_EXCEEDED", "the service behind the gateway did not answer in time"),
)


def local_reply_config(paths: Sequence[str]) -> dict[str, Any]:
    """Return the rewriting of everything that Envoy says by itself; `paths` is what a REST client could ask for."""
    mappers = [_refused_query()]
    for each in REPLIES:
        reply = replace(each, message=each.message.replace(_PATHS, ", ".join(paths)))
        mappers += [_for_grpc(reply), _for_rest(reply)]
    other = Reply(0, "UNKNOWN", "GATEWAY_FAILURE", "%LOCAL_REPLY_BODY%")
    return {"mappers": mappers, "body_format": _json(other)}


def _for_rest(reply: Reply) -> dict[str, Any]:
    return {"filter": _applies(reply), "status_code": reply.http, "body_format_override": _json(reply)}


def _for_grpc(reply: Reply) -> dict[str, Any]:
    """Say the same to a gRPC client. Details are fixed bytes, so the message may not depend on the request either."""
    message = reply.fixed_message or reply.message
    # To a gRPC client a path is a method.
    code = "UNIMPLEMENTED" if reply.http == 404 else reply.code
    is_grpc = {"name": "content-type", "string_match": {"safe_regex": _GRPC_CONTENT}}
    # A REST request, too, is gRPC once the transcoder has had it; this header is the transcoder's mark.
    was_rest = {"name": "x-envoy-original-path", "present_match": True, "invert_match": True}
    headers = [{"header_filter": {"header": header}} for header in (is_grpc, was_rest)]
    return {
        "filter": {"and_filter": {"filters": [_applies(reply), *headers]}},
        "body_format_override": {"text_format_source": {"inline_string": message}},
        "headers_to_add": [
            _overwrite("grpc-status", str(code_pb2.Code.Value(code))),
            _overwrite("grpc-status-details-bin", _details(code, reply.reason, message)),
        ],
    }


# application/grpc and application/grpc+proto, not application/grpc-web: those clients read the HTTP status.
_GRPC_CONTENT = {"regex": r"application/grpc(\+.*)?"}


def _refused_query() -> dict[str, Any]:
    def value(key: str) -> str:
        return f"%DYNAMIC_METADATA({QUERY_METADATA}:{key})%"

    details = [
        _error_info(value("reason"), {}),
        {
            "@type": f"{_TYPES}.BadRequest",
            "field_violations": [{"field": value("field"), "description": "%LOCAL_REPLY_BODY%"}],
        },
    ]
    present = {"filter": QUERY_METADATA, "path": [{"key": "reason"}], "value": {"present_match": True}}
    status = {"code": code_pb2.INVALID_ARGUMENT, "message": "%LOCAL_REPLY_BODY%", "details": details}
    return {
        "filter": {"metadata_filter": {"matcher": present, "match_if_key_not_found": False}},
        "body_format_override": {"json_format": status},
    }


def _json(reply: Reply) -> dict[str, Any]:
    return {
        "json_format": {
            "code": code_pb2.Code.Value(reply.code),
            "message": reply.message,
            "details": [_error_info(reply.reason, reply.metadata)],
        },
    }


def _error_info(reason: str, metadata: dict[str, str]) -> dict[str, Any]:
    return {"@type": f"{_TYPES}.ErrorInfo", "reason": reason, "domain": DOMAIN, "metadata": metadata}


def _details(code: str, reason: str, message: str) -> str:
    info = PackedMessage()
    info.Pack(error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN))
    status = status_pb2.Status(code=code_pb2.Code.Value(code), message=message, details=[info])
    return base64.b64encode(status.SerializeToString(deterministic=True)).decode().rstrip("=")


def _applies(reply: Reply) -> dict[str, Any]:
    if reply.http != 401:
        return _status_is(reply.http)
    # A token for another audience is 403 to jwt_authn, though it proves no more than none. A token that was taken
    # leaves its claims behind.
    claims = {"filter": JWT_FILTER, "path": [{"key": TOKEN_METADATA}], "value": {"present_match": False}}
    no_token = {"metadata_filter": {"matcher": claims, "match_if_key_not_found": True}}
    refused = {"and_filter": {"filters": [_status_is(403), no_token]}}
    return {"or_filter": {"filters": [_status_is(401), refused]}}


def _status_is(http: int) -> dict[str, Any]:
    value = {"default_value": http, "runtime_key": f"replies.status_{http}"}
    return {"status_code_filter": {"comparison": {"op": "EQ", "value": value}}}


def _overwrite(name: str, value: str) -> dict[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
