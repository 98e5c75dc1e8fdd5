"""Spans of OpenTelemetry for the calls of a client: one for each attempt, named by its operation, inside whatever span
is current where the call is made. From the hooks that every client has:

    stripe = pinstripe.StripeClient(key, **hooks(trace.get_tracer("shop")))

    pip install opentelemetry-sdk
    python3 tracing.py

No key, parameter or body gets into a span: the library's events have none."""

from contextvars import ContextVar
from typing import Any, Callable, Optional, TypedDict

import pinstripe
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer

# Calls of many threads and tasks are under way at once, each in a context of its own.
current: "ContextVar[Optional[Span]]" = ContextVar("current", default=None)


class Hooks(TypedDict):
    """Options of a client."""

    on_request: Callable[[Any], None]
    on_response: Callable[[Any], None]


def hooks(tracer: Tracer) -> Hooks:
    def on_request(event: Any) -> None:
        span = tracer.start_span(
            event.operation or f"{event.method} {event.path}",
            kind=SpanKind.CLIENT,
            attributes={"http.request.method": event.method, "url.path": event.path},
        )
        if event.attempt > 1:
            span.set_attribute("http.request.resend_count", event.attempt - 1)
        current.set(span)

    def on_response(event: Any) -> None:
        span = current.get()
        if span is None:
            return
        if event.status:
            span.set_attribute("http.response.status_code", event.status)
        if event.request_id:
            span.set_attribute("stripe.request_id", event.request_id)
        if not 200 <= event.status < 400:
            # Without an answer, the message says why: "timeout", "connection".
            span.set_attribute("error.type", str(event.status or event.message))
            span.set_status(StatusCode.ERROR)
        span.end()
        current.set(None)

    return {"on_request": on_request, "on_response": on_response}


def line(span: ReadableSpan) -> str:
    facts = " ".join(f"{name}={value!r}" for name, value in sorted((span.attributes or {}).items()))
    return f"{span.name} {facts}\n"


def main() -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=line)))
    tracer = provider.get_tracer("shop")
    with pinstripe.sandbox(seed=1) as sandbox, tracer.start_as_current_span("checkout"):
        stripe = sandbox.client(**hooks(tracer))
        customer = stripe.v1.customers.create({"email": "jenny@example.com"})
        sandbox.fault(match={"method": "GET", "path": "/v1/customers/*"}, status=500)
        stripe.v1.customers.retrieve(customer.id)
        try:
            stripe.v1.charges.retrieve("ch_none")
        except pinstripe.InvalidRequestError as e:
            print(e.user_message)


if __name__ == "__main__":
    main()
