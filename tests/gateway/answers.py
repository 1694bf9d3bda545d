"""What every error of the gateway looks like, whoever made it."""

from __future__ import annotations

import json
from typing import Any

import grpc
import httpx
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status


def reason_of(response: httpx.Response, http: int, code: str) -> str:
    """Check that `response` is a google.rpc.Status as JSON, and return the reason of its only ErrorInfo."""
    return str(error_info(response, http, code)["reason"])


def error_info(response: httpx.Response, http: int, code: str) -> dict[str, Any]:
    assert response.status_code == http, response.text
    assert response.headers["content-type"] == "application/json"
    status = json.loads(response.content)
    assert set(status) == {"code", "message", "details"}
    assert code_pb2.Code.Name(status["code"]) == code
    assert status["message"]
    (info,) = [each for each in status["details"] if each["@type"] == "type.googleapis.com/google.rpc.ErrorInfo"]
    assert info["domain"] == "optrading"
    return dict(info)


def grpc_reason_of(error: grpc.RpcError, code: grpc.StatusCode) -> str:
    """Check that `error` carries a google.rpc.Status with one ErrorInfo, and return its reason."""
    assert error.code() is code, error
    status: status_pb2.Status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    (packed,) = [detail for detail in status.details if detail.Is(info.DESCRIPTOR)]
    packed.Unpack(info)
    assert info.domain == "optrading"
    return str(info.reason)
