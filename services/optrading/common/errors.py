"""Errors of the domain: each has a gRPC status, one reason and a message that says what is allowed.

Servicers and pipelines raise them; one interceptor turns them into `google.rpc.Status` with exactly one `ErrorInfo`.
Every reason is listed in docs/errors.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import grpc
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

DOMAIN = "optrading"
"""The `domain` of every ErrorInfo."""

_LONGEST_MESSAGE_BYTES = 1024
_LONGEST_VALUE = 64


class ServiceError(Exception):
    """An error that a caller is told about.

    Attributes:
        code: gRPC status.
        reason: UPPER_SNAKE_CASE, stable; programs decide by it.
        message: One sentence for people: what was wrong and what is allowed.
        field: Request field that was wrong, or empty.
        retry_after_s: When to try again, seconds; None when trying again does not help.
        metadata: Further facts for programs.
    """

    code: grpc.StatusCode = grpc.StatusCode.INTERNAL
    reason: str = "INTERNAL"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        field: str = "",
        retry_after_s: float | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Say what was wrong, in 1 KiB at most; `reason` replaces the one of the class."""
        self.message = _bounded(message)
        super().__init__(self.message)
        self.reason = reason or type(self).reason
        self.field = field
        self.retry_after_s = retry_after_s
        self.metadata = dict(metadata or {})

    def to_status(self) -> status_pb2.Status:
        """Return the error as the contract's message."""
        details = [_pack(error_details_pb2.ErrorInfo(reason=self.reason, domain=DOMAIN, metadata=self.metadata))]
        if self.field:
            violation = error_details_pb2.BadRequest.FieldViolation(field=self.field, description=self.message)
            details.append(_pack(error_details_pb2.BadRequest(field_violations=[violation])))
        if self.retry_after_s is not None:
            delay = Duration()
            delay.FromMilliseconds(round(self.retry_after_s * 1000))
            details.append(_pack(error_details_pb2.RetryInfo(retry_delay=delay)))
        return status_pb2.Status(code=code_pb2.Code.Value(self.code.name), message=self.message, details=details)


class InvalidArgument(ServiceError):
    """The request is wrong whatever the state of the platform."""

    code = grpc.StatusCode.INVALID_ARGUMENT
    reason = "INVALID_ARGUMENT"


class NotFound(ServiceError):
    """What was asked for does not exist."""

    code = grpc.StatusCode.NOT_FOUND
    reason = "NOT_FOUND"


class AlreadyExists(ServiceError):
    """What was to be created exists."""

    code = grpc.StatusCode.ALREADY_EXISTS
    reason = "ALREADY_EXISTS"


class Unauthenticated(ServiceError):
    """The caller did not prove who it is."""

    code = grpc.StatusCode.UNAUTHENTICATED
    reason = "UNAUTHENTICATED"


class PermissionDenied(ServiceError):
    """The caller is known and may not."""

    code = grpc.StatusCode.PERMISSION_DENIED
    reason = "PERMISSION_DENIED"


class FailedPrecondition(ServiceError):
    """The platform is not in the state this needs; trying again does not help."""

    code = grpc.StatusCode.FAILED_PRECONDITION
    reason = "FAILED_PRECONDITION"


class OutOfRange(ServiceError):
    """A position lies outside what is kept."""

    code = grpc.StatusCode.OUT_OF_RANGE
    reason = "OUT_OF_RANGE"


class Unavailable(ServiceError):
    """Not now; trying again helps."""

    code = grpc.StatusCode.UNAVAILABLE
    reason = "UNAVAILABLE"


class ResourceExhausted(ServiceError):
    """A limit is reached."""

    code = grpc.StatusCode.RESOURCE_EXHAUSTED
    reason = "RESOURCE_EXHAUSTED"


class DataLoss(ServiceError):
    """Stored data does not match its checksum; it is named and not served."""

    code = grpc.StatusCode.DATA_LOSS
    reason = "DATA_LOSS"


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the reason that a failed call carries; empty when it carries none."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # an AioRpcError has what is read of a Call
    if status is not None:
        info = error_details_pb2.ErrorInfo()
        for detail in status.details:
            if detail.Unpack(info):
                return str(info.reason)
    return ""


def shown(value: str) -> str:
    """Return what a caller sent as it can be shown in a message: quoted, unprintable characters escaped, not long."""
    return repr(value) if len(value) <= _LONGEST_VALUE else f"{value[:_LONGEST_VALUE]!r}..."


def one_of(values: Iterable[object]) -> str:
    """Return `values` as the end of a sentence that says what is allowed."""
    names = [str(value) for value in values]
    return ", ".join(names) if names else "none at present"


def _bounded(message: str) -> str:
    """Cut a message that is too long. It travels in trailers, up to five times, and clients take 8 KiB of them.

    A proxy that gets more than it takes ends the connection, with the streams of everybody on it.
    """
    encoded = message.encode(errors="replace")
    if len(encoded) <= _LONGEST_MESSAGE_BYTES:
        return message
    return encoded[: _LONGEST_MESSAGE_BYTES - 3].decode(errors="ignore") + "..."


def _pack(message: object) -> Any:
    packed = Any()
    packed.Pack(message)  # type: ignore[arg-type]  # the stubs of error_details do not name Message as a base
    return packed
