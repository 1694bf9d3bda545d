"""REST through the gateway: names, values, errors."""

from __future__ import annotations

import pytest

from tests.gateway.answers import error_info, reason_of
from tests.gateway.edge import Edge


@pytest.mark.parametrize("path", ["/option-chain/NIFTY", "/v1/option-chain/NIFTY"])
def test_a_chain_has_the_names_of_the_contract_and_shows_every_field(edge: Edge, path: str) -> None:
    response = edge.http.get(path, headers=edge.bearer("read_data"))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    chain = response.json()["chain"]
    assert chain["event_time"] == "2026-08-18T10:00:00Z"
    assert chain["spot_inr"] == 24521.5
    assert chain["sequence"] == "1"  # JSON has no 64-bit integers
    expiry = chain["expiries"][0]
    assert expiry["strike_inr"] == [24500, 24550, 24600]
    assert expiry["call"]["last_inr"] == ["NaN"] * 3
    assert expiry["atm_offset"] == []


def test_enums_are_shown_by_name(edge: Edge) -> None:
    response = edge.http.get("/analytics/NIFTY/greeks", headers=edge.bearer("read_data"))
    call = response.json()["analytics"]["expiries"][0]["call"]
    assert call["status"] == ["LEG_STATUS_OK"]
    assert call["delta"] == ["NaN"]


def test_gaps_are_found_by_time_and_cause_and_named(edge: Edge) -> None:
    params = {
        "start_time": "2026-08-18T03:45:00Z",
        "end_time": "2026-08-18T10:00:00Z",
        "cause": ["GAP_CAUSE_DISCONNECT", "GAP_CAUSE_LATE"],
    }
    for path in ("/gaps/NIFTY", "/v1/gaps/NIFTY"):
        answer = edge.http.get(path, params=params, headers=edge.bearer("read_data"))
        assert answer.status_code == 200, answer.text
        assert answer.json()["completeness"] == 0.9875
        [gap] = answer.json()["gaps"]
        assert (gap["index"], gap["cause"]) == ("NIFTY", "GAP_CAUSE_LATE")
        assert (gap["start_time"], gap["end_time"]) == ("2026-08-18T03:45:00Z", "2026-08-18T10:00:00Z")
    assert edge.http.get("/gaps/NIFTY").status_code == 401
    refused = edge.http.get("/gaps/NIFTY", params={"cause": "LOST"}, headers=edge.bearer("read_data"))
    assert reason_of(refused, 400, "INVALID_ARGUMENT") == "UNKNOWN_VALUE"


def test_a_body_becomes_a_message_and_an_answer_becomes_json(edge: Edge) -> None:
    response = edge.http.post("/auth/login", json={"username": "asha", "password": "correct horse"})
    assert response.json() == {
        "access_token": "a.b.c",
        "refresh_token": "r",
        "token_type": "bearer",
        "expires_in": 60,
    }


def test_a_time_and_repeated_numbers_can_stand_in_a_query(edge: Edge) -> None:
    headers = edge.bearer("read_data")
    stored = edge.http.get("/history/NIFTY/chain", params={"as_of": "2026-08-18T10:44:00.5Z"}, headers=headers)
    assert stored.json()["chain"]["event_time"] == "2026-08-18T10:44:00.500Z"
    history = edge.http.get("/history/NIFTY", params={"strike_inr": [24500, 24550.5]}, headers=headers)
    assert '"strike_inr":[24500,24550.5]' in history.text


def test_an_error_of_a_service_keeps_its_status_message_and_details(edge: Edge) -> None:
    response = edge.http.get("/option-chain/MIDCAP", headers=edge.bearer("read_data"))
    assert reason_of(response, 404, "NOT_FOUND") == "UNKNOWN_INDEX"
    assert response.json()["message"] == "index MIDCAP is not collected; known: NIFTY"
    bad_request = response.json()["details"][1]
    assert bad_request["@type"] == "type.googleapis.com/google.rpc.BadRequest"
    assert bad_request["field_violations"][0]["field"] == "index"


def test_a_failure_inside_a_service_shows_nothing_of_the_inside(edge: Edge) -> None:
    response = edge.http.get("/option-chain/BROKEN", headers=edge.bearer("read_data"))
    assert reason_of(response, 500, "INTERNAL") == "INTERNAL"
    assert "secret" not in response.text


def test_an_unknown_path_is_answered_with_the_paths_there_are(edge: Edge) -> None:
    response = edge.http.get("/option-chains/NIFTY")
    assert reason_of(response, 404, "NOT_FOUND") == "UNKNOWN_PATH"
    assert "GET /option-chain/{index}," in response.json()["message"]


def test_a_wrong_http_method_is_answered_with_those_there_are(edge: Edge) -> None:
    response = edge.http.delete("/admin/users", headers=edge.bearer("admin_access"))
    assert reason_of(response, 405, "UNIMPLEMENTED") == "METHOD_NOT_ALLOWED"
    assert response.headers["allow"] == "GET, POST"


def test_a_service_that_does_not_answer_in_time_is_given_up(edge: Edge) -> None:
    response = edge.http.get("/option-chain/SLOW", headers=edge.bearer("read_data"))
    assert reason_of(response, 504, "DEADLINE_EXCEEDED") == "DEADLINE_EXCEEDED"


def test_a_chain_of_many_megabytes_arrives_whole(edge: Edge) -> None:
    response = edge.http.get("/option-chain/LARGE", headers=edge.bearer("read_data"))
    assert response.status_code == 200
    assert len(response.json()["chain"]["expiries"][0]["strike_inr"]) == 60_000
    assert len(response.content) > 2_000_000


@pytest.mark.parametrize("body", ['{"username":', '{"username": 5}', "[]", "username=asha"])
def test_a_body_that_cannot_be_read_is_refused(edge: Edge, body: str) -> None:
    with edge.upstreams.recorder.listening() as calls:
        response = edge.http.post("/auth/login", content=body)
    assert reason_of(response, 400, "INVALID_ARGUMENT") == "MALFORMED_REQUEST"
    assert calls == []


def test_an_unknown_query_parameter_is_answered_with_the_allowed_ones(edge: Edge) -> None:
    headers = edge.bearer("read_data")
    response = edge.http.get("/option-chain/NIFTY", params={"buckets": "this_week"}, headers=headers)
    assert reason_of(response, 400, "INVALID_ARGUMENT") == "UNKNOWN_QUERY_PARAMETER"
    status = response.json()
    assert status["message"] == "query parameter `buckets` is not known; allowed: bucket, expiry"
    assert status["details"][1]["field_violations"][0]["field"] == "buckets"


@pytest.mark.parametrize("name", ["index", "startTime", "start_time.seconds", "", "%", "a\nb", 'x"}', "bucket\0"])
def test_no_other_spelling_of_a_query_parameter_passes(edge: Edge, name: str) -> None:
    headers = edge.bearer("read_data")
    response = edge.http.get("/history/NIFTY", params={name: "1"}, headers=headers)
    assert reason_of(response, 400, "INVALID_ARGUMENT") == "UNKNOWN_QUERY_PARAMETER"
    assert "allowed: bucket, end_time, expiry, start_time, strike_inr" in response.json()["message"]


def test_a_method_with_a_body_takes_no_query_parameter(edge: Edge) -> None:
    response = edge.http.post("/auth/login?username=asha", json={"password": "correct horse"})
    assert reason_of(response, 400, "INVALID_ARGUMENT") == "UNKNOWN_QUERY_PARAMETER"
    assert "none is allowed here" in response.json()["message"]


def test_a_query_parameter_that_is_not_a_list_may_be_given_once(edge: Edge) -> None:
    headers = edge.bearer("read_data")
    response = edge.http.get("/option-chain/NIFTY?bucket=this_week&bucket=next_week", headers=headers)
    assert reason_of(response, 400, "INVALID_ARGUMENT") == "REPEATED_QUERY_PARAMETER"


def test_an_unknown_name_of_an_enum_is_answered_with_the_allowed_ones(edge: Edge) -> None:
    headers = edge.bearer("read_data")
    response = edge.http.get("/option-chain/NIFTY/stream?delivery=ALL", headers=headers)
    assert reason_of(response, 400, "INVALID_ARGUMENT") == "UNKNOWN_VALUE"
    assert response.json()["message"].endswith("allowed: DELIVERY_LATEST, DELIVERY_LOSSLESS")


def test_a_value_of_another_type_is_named(edge: Edge) -> None:
    headers = edge.bearer("read_data")
    response = edge.http.get("/option-chain/NIFTY/stream?resume_after_sequence=newest", headers=headers)
    assert reason_of(response, 400, "INVALID_ARGUMENT") == "MALFORMED_REQUEST"
    assert "resume_after_sequence" in response.json()["message"]


def test_answers_are_not_to_be_kept_and_say_nothing_of_what_is_behind(edge: Edge) -> None:
    response = edge.http.get("/option-chain/NIFTY", headers=edge.bearer("read_data"))
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["server"] == "optrading"
    assert response.headers["x-request-id"]
    assert not [name for name in response.headers if name.startswith(("grpc-", "x-envoy-"))]


def test_health_is_open_to_all_and_names_every_component(edge: Edge) -> None:
    assert edge.http.get("/health").json() == {
        "status": "ok",
        "components": [
            {"name": name, "status": "serving"} for name in ("analytics", "collection", "identity", "storage")
        ],
    }


def test_health_names_the_component_that_does_not_serve(degraded: Edge) -> None:
    response = degraded.http.get("/health")
    info = error_info(response, 503, "UNAVAILABLE")
    assert info["reason"] == "DEPENDENCY_UNAVAILABLE"
    assert info["metadata"] == {
        "analytics": "serving",
        "collection": "serving",
        "identity": "serving",
        "storage": "not_serving",
    }
    assert response.json()["message"] == "not serving: storage"


def test_a_service_that_does_not_serve_is_not_called(degraded: Edge) -> None:
    headers = degraded.bearer("read_data")
    with degraded.upstreams.recorder.listening() as calls:
        response = degraded.http.get("/history", headers=headers)
    assert reason_of(response, 503, "UNAVAILABLE") == "DEPENDENCY_UNAVAILABLE"
    assert calls == []
    assert degraded.http.get("/indices", headers=headers).status_code == 200
