from __future__ import annotations

import base64
from collections import Counter
from typing import Any

from google.rpc import code_pb2, error_details_pb2, status_pb2

from optrading.gateway.replies import REPLIES, local_reply_config

CONFIG = local_reply_config(["GET /health"])


def bodies() -> list[dict[str, Any]]:
    """Return every JSON body that the gateway can answer with."""
    overrides = [mapper["body_format_override"] for mapper in CONFIG["mappers"]]
    return [each["json_format"] for each in (*overrides, CONFIG["body_format"]) if "json_format" in each]


def test_every_answer_is_a_status_with_one_error_info() -> None:
    for body in bodies():
        assert set(body) == {"code", "message", "details"}
        assert body["code"] in code_pb2.Code.values()
        kinds = Counter(detail["@type"].rpartition(".")[2] for detail in body["details"])
        assert kinds["ErrorInfo"] == 1
        (info,) = [detail for detail in body["details"] if detail["@type"].endswith(".ErrorInfo")]
        assert info["domain"] == "optrading"


def test_each_http_status_has_one_answer() -> None:
    assert max(Counter(reply.http for reply in REPLIES).values()) == 1
    assert {400, 401, 403, 404, 405, 413, 431, 500, 502, 503, 504} <= {reply.http for reply in REPLIES}


def test_grpc_clients_are_told_the_same_reason_and_a_message_equal_to_that_of_the_details() -> None:
    told = []
    for mapper in CONFIG["mappers"]:
        headers = {each["header"]["key"]: each["header"]["value"] for each in mapper.get("headers_to_add", [])}
        if not headers:
            continue
        encoded = headers["grpc-status-details-bin"]
        status = status_pb2.Status.FromString(base64.b64decode(encoded + "=" * (-len(encoded) % 4)))
        assert headers["grpc-status"] == str(status.code)
        message = mapper["body_format_override"]["text_format_source"]["inline_string"]
        assert message == status.message
        assert "%" not in message
        info = error_details_pb2.ErrorInfo()
        (packed,) = status.details
        assert packed.Unpack(info)
        told.append(info.reason)
    assert told == [reply.reason for reply in REPLIES]


def test_an_unknown_path_is_answered_with_the_paths_there_are() -> None:
    (body,) = [body for body in bodies() if body["details"][0]["reason"] == "UNKNOWN_PATH"]
    assert body["message"] == "there is nothing at this path; there are: GET /health"
