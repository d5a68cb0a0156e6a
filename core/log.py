"""
The log: structlog set up once, pretty on a terminal, JSON elsewhere, always on standard error.

Whatever is written passes one processor that blots out known secrets and anything that looks like an address, tracebacks and
the lines of other libraries included. Nothing is logged by a connector; the core's modules log facts in keys.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import structlog
from pydantic import BaseModel, SecretStr
from structlog.typing import EventDict, Processor, WrappedLogger

from core.clock import EPOCH
from core.hidden import Hidden

ADDRESS_BLOT = "[address]"

FIRST_WAIT = timedelta(minutes=1)

log: structlog.stdlib.BoundLogger = structlog.get_logger("tagalong")
"""The logger of the whole program."""

_ADDRESS = re.compile(r"[\w.%+'-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+")
_QUIET = ("httpx", "httpx2", "httpcore", "httpcore2", "authlib", "filelock", "uvicorn", "asyncio")
_hidden = Hidden()


class Trouble:
    """
    What goes wrong again and again, as an *event*: told when it begins, after one minute, two, four, and when it is *over*.

    A disk may be full for hours, and a line each time would bury all others.
    """

    def __init__(self, event: str, *, over: str) -> None:
        self.event, self.over = event, over
        self._times = 0
        self._since = self._said_at = EPOCH
        self._wait = FIRST_WAIT

    def goes_on(self, reason: str, *, at: datetime) -> None:
        """It went wrong once more."""
        self._times += 1
        if self._times == 1:
            self._since, self._wait = at, FIRST_WAIT
        elif timedelta(0) <= at - self._said_at < self._wait:
            return
        else:
            self._wait *= 2
        self._said_at = at
        log.error(self.event, reason=reason, times=self._times)

    def is_over(self, *, at: datetime) -> None:
        """It went well."""
        if self._times:
            log.info(self.over, after_s=round((at - self._since).total_seconds()), times=self._times)
        self._times = 0


def hide(*secrets: SecretStr | str | None) -> None:
    """Blot these out of everything that is logged from now on, in the spellings in which they travel."""
    _hidden.add(_texts(secrets))


def hide_renewed(connection: str, *secrets: SecretStr | str | None) -> None:
    """Hide a connection's tokens too, which take the place of earlier ones."""
    _hidden.renew(connection, _texts(secrets))


def _texts(secrets: Iterable[SecretStr | str | None]) -> list[str]:
    texts = (secret.get_secret_value() if isinstance(secret, SecretStr) else secret for secret in secrets)
    return [text for text in texts if text]


def hide_settings(settings: BaseModel) -> None:
    """Hide every secret of a connection's settings, nested ones included."""
    for name in type(settings).model_fields:
        _hide_value(getattr(settings, name))


def _hide_value(value: object) -> None:
    match value:
        case SecretStr():
            hide(value)
        case BaseModel():
            hide_settings(value)
        case Mapping():
            for item in value.values():
                _hide_value(item)
        case list() | tuple():
            for item in value:
                _hide_value(item)


def redact(text: str) -> str:
    """Return *text* without known secrets and addresses."""
    text = _hidden.blot(text)
    return _ADDRESS.sub(ADDRESS_BLOT, text) if "@" in text or "%40" in text else text


def redact_event(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The processor: no secret and no address leaves in any value, however deep."""
    return {key: _redact_value(value) for key, value in event.items()}


def _redact_value(value: object) -> object:
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return redact(value)
        case Mapping():
            return {redact(str(key)): _redact_value(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_redact_value(item) for item in value]
        case _:
            return redact(str(value))


class _StandardError(logging.StreamHandler):  # type: ignore[type-arg]  # generic only for the type checker
    """Writes to what `sys.stderr` is now, which a progress bar or a test may have replaced since."""

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)


def is_debugging() -> bool:
    """Return whether lines at debug are written: to make one that is not takes as long as a look into the store."""
    return logging.getLogger().isEnabledFor(logging.DEBUG)


def configure(level: str = "info", json: bool | None = None) -> None:
    """Set logging up; *json* None is JSON unless standard error is a terminal. May be called again."""
    as_json = not sys.stderr.isatty() if json is None else json
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(sort_keys=False)
        if as_json
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)  # never the values of variables
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact_event,
            renderer,
        ],
    )
    handler = _StandardError()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        cache_logger_on_first_use=False,
    )


# Until `configure` is called (a library's use, a script): warnings reach standard error by the standard library, redacted too
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.format_exc_info,
        redact_event,
        structlog.processors.KeyValueRenderer(key_order=["event"]),
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    cache_logger_on_first_use=False,
)
