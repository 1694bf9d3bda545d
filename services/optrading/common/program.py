"""How a service's program runs: logs set up, event loop started, known errors shown as one line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Awaitable, Callable

import structlog
import uvloop

from optrading.common.serving import AddressInUseError
from optrading.common.settings import SettingsT, read_settings
from optrading.common.state import StateError
from optrading.common.telemetry import add_trace_ids, configure_tracing
from optrading.common.tls import CertificateError

EXPECTED = (AddressInUseError, CertificateError, StateError)
"""Errors that a person can mend: shown as one line instead of a traceback."""


def configure_logging(service: str, log_format: str, log_level: str) -> None:
    """Send structlog's events, and the standard library's, to stderr as JSON or for people."""
    renderer: structlog.types.Processor = (
        structlog.processors.JSONRenderer()
        if log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),  # a mesh's logs are files
            event_key="message",
            exception_formatter=structlog.dev.plain_traceback,  # the other one prints local variables, secrets too
        )
    )

    def name_service(_: object, __: str, event: structlog.types.EventDict) -> structlog.types.EventDict:
        return {"service": service, **event}

    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            name_service,
            add_trace_ids,
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[log_level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def run_program(
    service: str,
    kind: type[SettingsT],
    main: Callable[[SettingsT], Awaitable[None]],
    *,
    expected: tuple[type[Exception], ...] = (),
) -> int:
    """Read the settings of `service`, run `main` with them, and return the exit code.

    Args:
        service: Name in logs and messages.
        kind: Class of its settings.
        main: Does the work until the program is to end.
        expected: Errors of this service, besides `EXPECTED`, that a person can mend.

    Returns:
        0 after an orderly end, 1 when the program could not do its work; the reason is one line on stderr.
    """
    settings = read_settings(kind)
    configure_logging(service, settings.log_format, settings.log_level)
    configure_tracing(service)

    known: tuple[type[Exception], ...] = (*EXPECTED, *expected)

    async def run() -> int:
        code = 0
        try:
            await main(settings)
        except* known as group:
            for error in _leaves(group):
                print(f"{service}: {error}", file=sys.stderr)
            code = 1
        return code

    # About a quarter less CPU on streams than asyncio's own loop.
    return uvloop.run(run())


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    return [
        leaf
        for error in group.exceptions
        for leaf in (_leaves(error) if isinstance(error, BaseExceptionGroup) else [error])
    ]
