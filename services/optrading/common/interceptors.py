"""What happens around every call: who may call, what an error looks like, and answers that are ready bytes."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from optrading.common.access import Access
from optrading.common.errors import InvalidArgument, PermissionDenied, ServiceError
from optrading.common.tls import workload_of

if TYPE_CHECKING:  # generic only in the stubs
    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]
    Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]]
else:
    Context = grpc.aio.ServicerContext

log = structlog.get_logger()

REFLECTION_CALLERS = frozenset({"gateway"})
"""Reflection is asked for by users, through the gateway."""


def ready_or_message(answer: Any) -> bytes:
    """Serialize an answer, or pass it on when it is serialized already."""
    return answer if isinstance(answer, bytes) else answer.SerializeToString()


async def abort(context: Context, error: ServiceError) -> None:
    """End the call with `error` as google.rpc.Status.

    Raises:
        grpc.aio.AbortError: Always; grpcio's way of ending a call.
    """
    await context.abort_with_status(rpc_status.to_status(error.to_status()))


class ClosingInterceptor(grpc.aio.ServerInterceptor):
    """Closes the generator behind a stream as soon as the stream ends, in the task that ran it; comes first of all.

    When a caller leaves in the middle, grpcio only drops the generator. It would be closed whenever it is collected, in
    a context that is not its own, where tracing fails and fills the log.
    """

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Handler | None:
        """Return the wrapped handler of a method that answers one request by a generator; others as they are."""
        handler = await continuation(details)
        behavior: Any = getattr(handler, "unary_stream", None)
        if handler is None or not inspect.isasyncgenfunction(behavior):
            return handler

        async def call(request: Any, context: Context) -> None:
            async with aclosing(behavior(request, context)) as answers:
                async for answer in answers:
                    try:
                        await context.write(answer)
                    except grpc.aio.InternalError as error:
                        # The caller is gone and grpcio has not yet cancelled us; as an error it would fill the log.
                        raise asyncio.CancelledError from error

        return grpc.unary_stream_rpc_method_handler(
            call, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
        )


class CallInterceptor(grpc.aio.ServerInterceptor):
    """Wraps every method of the contract that this server has.

    A caller that the method's access rule does not name is refused before the request is read. A request that cannot be
    read and a ServiceError become a google.rpc.Status; any other exception becomes INTERNAL with a log id, and nothing
    of it leaves the service.
    """

    def __init__(self, contract: Mapping[str, Access], trust_domain: str, check_peers: bool) -> None:
        """Take the contract's rules; `check_peers` is off where a sidecar does mTLS and enforces the same rules."""
        self._contract = contract
        self._trust_domain = trust_domain
        self._check_peers = check_peers

    async def intercept_service(self, continuation: Continuation, details: grpc.HandlerCallDetails) -> Handler | None:
        """Return the wrapped handler of this call's method; an unknown method stays unknown."""
        handler = await continuation(details)
        if handler is None:
            return None
        method = str(details.method)
        access = self._contract.get(method)
        if access is None:
            return self._wrap_foreign(method, handler)
        if handler.response_streaming:
            return grpc.unary_stream_rpc_method_handler(
                self._stream(access, handler),
                request_deserializer=None,
                response_serializer=ready_or_message,
            )
        return grpc.unary_unary_rpc_method_handler(
            self._unary(access, handler),
            request_deserializer=None,
            response_serializer=ready_or_message,
        )

    def _unary(self, access: Access, handler: Handler) -> Callable[[bytes, Context], Awaitable[Any]]:
        behavior: Any = handler.unary_unary

        async def call(request: bytes, context: Context) -> Any:
            try:
                self._admit(context, access.callers, access.method)
                return await behavior(_read(handler, request), context)
            except Exception as error:
                await self._end(context, access.method, error)

        return call

    def _stream(self, access: Access, handler: Handler) -> Callable[[bytes, Context], AsyncIterator[Any]]:
        behavior: Any = handler.unary_stream

        async def call(request: bytes, context: Context) -> AsyncIterator[Any]:
            try:
                self._admit(context, access.callers, access.method)
                async with aclosing(behavior(_read(handler, request), context)) as answers:
                    async for answer in answers:
                        yield answer
            except Exception as error:
                await self._end(context, access.method, error)

        return call

    def _wrap_foreign(self, method: str, handler: Handler) -> Handler:
        """Health is for every workload of the mesh (mTLS has proved that it is one); reflection for the gateway."""
        if not method.startswith("/grpc.reflection.") or handler.stream_stream is None:
            return handler
        behavior: Any = handler.stream_stream

        async def call(requests: Any, context: Context) -> AsyncIterator[Any]:
            try:
                self._admit(context, REFLECTION_CALLERS, method)
            except ServiceError as error:
                await abort(context, error)
            async for answer in behavior(requests, context):
                yield answer

        return grpc.stream_stream_rpc_method_handler(
            call, request_deserializer=handler.request_deserializer, response_serializer=handler.response_serializer
        )

    def _admit(self, context: Context, callers: frozenset[str], method: str) -> None:
        if not self._check_peers:
            return
        identities = context.auth_context().get("peer_spiffe_id", [])
        names = {workload_of(identity.decode(errors="replace"), self._trust_domain) for identity in identities}
        if len(names) != 1 or not names & callers:
            raise PermissionDenied(
                f"{method} may be called by {', '.join(sorted(callers))}, not by this peer", reason="CALLER_NOT_ALLOWED"
            )

    async def _end(self, context: Context, method: str, error: Exception) -> None:
        if isinstance(error, grpc.aio.AbortError):
            raise error
        if isinstance(error, ServiceError):
            await abort(context, error)
        log_id = uuid4().hex
        log.error("call_failed", method=method, log_id=log_id, exc_info=error)
        await abort(
            context, ServiceError(f"internal error; the log has it under {log_id}", metadata={"log_id": log_id})
        )


def _read(handler: Handler, request: bytes) -> Any:
    """Return the request as a message; read here, where what is wrong with it becomes an error like any other."""
    read: Any = handler.request_deserializer
    try:
        return read(request)
    except DecodeError:  # its text names our classes
        raise InvalidArgument(
            "the request is no message of this method: broken protobuf, or text that is not UTF-8",
            reason="MALFORMED_REQUEST",
        ) from None
