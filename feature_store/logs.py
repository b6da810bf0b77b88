"""Structured logs on stderr: JSON where a machine reads them, readable where a person does."""

from __future__ import annotations

import logging
import os
import sys

import structlog


def configure_logging() -> None:
    """Send structlog to stderr; SIMPERSONA_LOG_LEVEL (default INFO) sets the level.

    Loggers are called with event names and numbers. Never with buyer ids, queries or payloads.
    """
    level = logging.getLevelNamesMapping().get(
        os.environ.get("SIMPERSONA_LOG_LEVEL", "INFO").upper(), logging.INFO
    )
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
    )
