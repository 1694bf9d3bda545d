from __future__ import annotations

import grpc
import pytest
from google.rpc import error_details_pb2

from optrading.common import errors
from optrading.common.errors import InvalidArgument, ServiceError, Unavailable, one_of, shown

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)]


def details(error: ServiceError, kind: type) -> list:
    found = []
    for packed in error.to_status().details:
        message = kind()
        if packed.Unpack(message):
            found.append(message)
    return found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_error_has_its_code_and_exactly_one_reason(kind: type[ServiceError]) -> None:
    error = kind("so it is", reason="WHY", field="index", retry_after_s=1.5, metadata={"a": "b"})
    status = error.to_status()
    assert status.code == error.code.value[0]
    assert error.code is not grpc.StatusCode.OK
    assert status.message == str(error) == "so it is"
    (info,) = details(error, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain, dict(info.metadata)) == ("WHY", "optrading", {"a": "b"})
    (request,) = details(error, error_details_pb2.BadRequest)
    assert [(v.field, v.description) for v in request.field_violations] == [("index", "so it is")]
    (retry,) = details(error, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 1500
    assert len(status.details) == 3


def test_each_status_is_stood_for_by_one_class() -> None:
    assert len({kind.code for kind in KINDS}) == len(KINDS)


def test_without_a_field_or_a_time_there_is_only_the_reason() -> None:
    assert len(InvalidArgument("no").to_status().details) == 1
    assert details(InvalidArgument("no"), error_details_pb2.ErrorInfo)[0].reason == "INVALID_ARGUMENT"


def test_trying_again_at_once_is_said_too() -> None:
    (retry,) = details(Unavailable("later", retry_after_s=0.0), error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 0


def test_what_is_allowed_is_named() -> None:
    assert one_of(["a", "b"]) == "a, b"
    assert one_of([]) == "none at present"


@pytest.mark.parametrize("letter", ["a", "\N{GRINNING FACE}", "\n", "\ud800"])
def test_no_error_outgrows_the_headers_it_travels_in(letter: str) -> None:
    error = InvalidArgument(f"begins so {letter * 100_000}", field="index")
    assert error.message == str(error)
    assert error.message.startswith("begins so ")
    assert error.message.endswith("...")
    assert 1000 < len(error.message.encode()) <= 1024
    assert len(error.to_status().SerializeToString()) < 3000


def test_what_a_caller_sent_is_shown_quoted_and_short() -> None:
    assert shown("NIFTY") == "'NIFTY'"
    assert shown("a\r\nb") == "'a\\r\\nb'"
    assert shown("N" * 64) == f"'{'N' * 64}'"
    assert shown("N" * 65) == f"'{'N' * 64}'..."
