"""Trace context: made in the process, carried in gRPC metadata, notices and journal rows."""

from __future__ import annotations

from opentelemetry import context, propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from structlog.types import EventDict

TRACEPARENT = "traceparent"
"""W3C name of the field."""


def configure_tracing(service: str) -> None:
    """Give spans of this process real ids. Nothing is exported."""
    trace.set_tracer_provider(TracerProvider(resource=Resource.create({"service.name": service})))


def current_traceparent() -> str:
    """Return the current span as W3C trace context; empty outside of a span."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get(TRACEPARENT, "")


def context_of(traceparent: str) -> context.Context:
    """Return the context that `traceparent` names, for spans that continue it."""
    return propagate.extract({TRACEPARENT: traceparent} if traceparent else {})


def add_trace_ids(_: object, __: str, event: EventDict) -> EventDict:
    """Put the ids of the current span into a log event."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
        event["span_id"] = trace.format_span_id(span.span_id)
    return event
