"""A client of the gateway over gRPC: logs in, keeps its token fresh, and turns errors into one line each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import grpc
from google.rpc import error_details_pb2, status_pb2

from optrading.analytics.v1 import analytics_service_pb2_grpc
from optrading.collection.v1 import collection_service_pb2_grpc
from optrading.common.channels import CHANNEL_OPTIONS
from optrading.gateway.v1 import gateway_service_pb2_grpc
from optrading.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from optrading.local.credentials import Credentials
from optrading.storage.v1 import storage_service_pb2_grpc

ResponseT = TypeVar("ResponseT")

CALL_S = 10.0
"""Deadline of an ordinary call."""

_RENEWAL_MARGIN_S = 60.0


class CallError(Exception):
    """A call failed; the text is one line for people.

    Attributes:
        code: gRPC status.
        reason: From the service's ErrorInfo, such as UNKNOWN_INDEX; empty when the failure is not a service's answer.
    """

    def __init__(self, message: str, code: grpc.StatusCode, reason: str = "") -> None:
        """Say what happened."""
        super().__init__(message)
        self.code = code
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Tokens:
    access: str
    refresh: str
    fresh_until_s: float


class GatewayClient:
    """Calls the platform as one user; use as `async with`.

    Attributes:
        collection: Stub of the collection service; call its methods by `call` and `stream`.
        storage: Stub of the storage service.
        analytics: Stub of the analytics service.
        gateway: Stub of the gateway's own service.
    """

    def __init__(self, credentials: Credentials) -> None:
        """Connect lazily to the gateway that the credentials name.

        Raises:
            ValueError: Its URL has no host.
        """
        self._credentials = credentials
        address = urlsplit(credentials.url)
        if not address.hostname:
            raise ValueError(f"{credentials.url!r} is not a URL such as http://127.0.0.1:8000")
        secure = address.scheme == "https"
        target = f"{address.hostname}:{address.port or (443 if secure else 80)}"
        self._channel: grpc.aio.Channel = (
            grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options=CHANNEL_OPTIONS)
            if secure
            else grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)
        )
        self._tokens: _Tokens | None = None
        self._login = asyncio.Lock()
        self._identity = identity_service_pb2_grpc.IdentityServiceStub(self._channel)
        self.collection = collection_service_pb2_grpc.CollectionServiceStub(self._channel)
        self.storage = storage_service_pb2_grpc.StorageServiceStub(self._channel)
        self.analytics = analytics_service_pb2_grpc.AnalyticsServiceStub(self._channel)
        self.gateway = gateway_service_pb2_grpc.GatewayServiceStub(self._channel)

    async def call(
        self, method: Callable[..., grpc.aio.UnaryUnaryCall[Any, ResponseT]], request: Any, timeout_s: float = CALL_S
    ) -> ResponseT:
        """Return what `method` of one of the stubs answers.

        Raises:
            CallError: The service or the gateway refused, or nobody answered.
        """
        for attempt in (1, 2):
            metadata = await self._metadata()
            try:
                return await method(request, metadata=metadata, timeout=timeout_s)
            except grpc.aio.AioRpcError as error:
                if not self._worth_another_login(error, attempt):
                    raise self._explain(error) from error
        raise AssertionError("the second attempt returns or raises")

    async def stream(
        self, method: Callable[..., grpc.aio.UnaryStreamCall[Any, ResponseT]], request: Any
    ) -> AsyncIterator[ResponseT]:
        """Yield what `method` of one of the stubs sends. Leaving the iteration ends the call.

        Raises:
            CallError: The stream ended with an error, or nobody answered.
        """
        for attempt in (1, 2):
            metadata = await self._metadata()
            answers = method(request, metadata=metadata)
            try:
                async for answer in answers:
                    yield answer
            except grpc.aio.AioRpcError as error:
                if not self._worth_another_login(error, attempt):
                    raise self._explain(error) from error
            else:
                return
            finally:
                answers.cancel()

    async def login(self) -> str:
        """Return an access token that is fresh, logging in or refreshing when it must.

        Raises:
            CallError: The credentials are refused, or nobody answered.
        """
        async with self._login:
            if self._tokens is None or time.monotonic() >= self._tokens.fresh_until_s:
                self._tokens = await self._new_tokens(self._tokens)
            return self._tokens.access

    async def __aenter__(self) -> Self:
        """Begin."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connection."""
        await self._channel.close()

    async def _metadata(self) -> tuple[tuple[str, str], ...]:
        return (("authorization", f"Bearer {await self.login()}"),)

    async def _new_tokens(self, old: _Tokens | None) -> _Tokens:
        user = self._credentials
        try:
            if old is not None:
                try:
                    refreshed = await self._identity.RefreshToken(
                        identity_service_pb2.RefreshTokenRequest(refresh_token=old.refresh), timeout=CALL_S
                    )
                    return _tokens(refreshed)
                except grpc.aio.AioRpcError as error:
                    if error.code() is not grpc.StatusCode.UNAUTHENTICATED:
                        raise
            request = identity_service_pb2.LoginRequest(username=user.username, password=user.password)
            return _tokens(await self._identity.Login(request, timeout=CALL_S))
        except grpc.aio.AioRpcError as error:
            raise self._explain(error) from error

    def _worth_another_login(self, error: grpc.aio.AioRpcError, attempt: int) -> bool:
        """A mesh with a new home has new keys and users: the token is dropped, and the call made once more."""
        if attempt > 1 or error.code() is not grpc.StatusCode.UNAUTHENTICATED:
            return False
        self._tokens = None
        return True

    def _explain(self, error: grpc.aio.AioRpcError) -> CallError:
        reason = reason_of(error)
        message = " ".join((error.details() or error.code().name).split())
        if error.code() is grpc.StatusCode.UNAVAILABLE and not reason:
            message = f"no answer at {self._credentials.url}: start the mesh with `optrading up`"
        elif error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and not reason:
            message = f"no answer from {self._credentials.url} in time"
        elif reason == "INVALID_CREDENTIALS":
            message += f" for {self._credentials.url}: see `A password is lost` in docs/runbook.md"
        return CallError(message, error.code(), reason)


def reason_of(error: grpc.aio.AioRpcError) -> str:
    """Return the reason in the error's ErrorInfo; empty when it has none."""
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            for detail in status_pb2.Status.FromString(value).details:
                info = error_details_pb2.ErrorInfo()
                if detail.Unpack(info):
                    return str(info.reason)
    return ""


def _tokens(answer: identity_service_pb2.LoginResponse | identity_service_pb2.RefreshTokenResponse) -> _Tokens:
    life_s = max(answer.expires_in - _RENEWAL_MARGIN_S, answer.expires_in / 2)
    return _Tokens(answer.access_token, answer.refresh_token, time.monotonic() + life_s)
