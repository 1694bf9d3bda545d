from __future__ import annotations

from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from optrading.common.telemetry import add_trace_ids, context_of, current_traceparent

tracer = TracerProvider().get_tracer("test")


def test_a_trace_goes_on_from_its_text() -> None:
    assert current_traceparent() == ""
    with tracer.start_as_current_span("first") as first:
        text = current_traceparent()
    with tracer.start_as_current_span("second", context_of(text)) as second:
        assert second.get_span_context().trace_id == first.get_span_context().trace_id
        event = add_trace_ids(None, "info", {"event": "chain_published"})
    assert text.split("-")[1] == event["trace_id"] == trace.format_trace_id(first.get_span_context().trace_id)
    assert len(event["span_id"]) == 16


def test_without_a_trace_nothing_is_made_up() -> None:
    for text in ("", "rubbish"):
        assert not trace.get_current_span(context_of(text)).get_span_context().is_valid
    assert add_trace_ids(None, "info", {"event": "x"}) == {"event": "x"}
