"""`[alerts.*]`: whom to tell, checked as far as that goes without a secret; `endpoint` resolves those when one is told."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath

from core.config.locate import Path
from core.config.model import AlertConfig, AlertState
from core.config.names import name_problem
from core.config.problems import Problems
from core.config.secrets import FORMS, reference, resolve_secret, without_secrets
from core.config.tables import AlertTable
from core.errors import ConfigError, Problem

LEAST_SECRET_BYTES = 24
"""https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#symmetric: 24 to 64 bytes."""
_PREFIX = "whsec_"
_URL_REMEDY = "the address begins with https://; http:// will do for this machine alone"


@dataclass(frozen=True, slots=True, repr=False)
class Endpoint:
    """Where an alert is sent, its secrets resolved."""

    url: str
    secret: str | None


def read_alerts(tables: object, problems: Problems) -> dict[str, AlertConfig]:
    """Return the alerts by name; those with problems are left out."""
    if not isinstance(tables, Mapping):
        problems.say(("alerts",), "must be a table")
        return {}
    found = {}
    for name, table in tables.items():
        before = len(problems)
        if wrong := name_problem(name):
            problems.say(("alerts", name), f"{name!r} cannot be the name of an alert", wrong)
        read = _read(name, table, problems)
        if read is not None and len(problems) == before:
            found[name] = read
    return found


def _read(name: str, table: object, problems: Problems) -> AlertConfig | None:
    at: Path = ("alerts", name)
    if not isinstance(table, Mapping):
        problems.say(at, "must be a table")
        return None
    for key in ("url", "secret"):
        if key in table and not isinstance(table[key], str) and reference(table[key]) is None:
            problems.say((*at, key), "is no secret", FORMS)
            return None
    data, _ = without_secrets(AlertTable, table)
    read = problems.validate(AlertTable, data, at)
    if read is None:
        return None
    if (read.kind == "webhook") != (read.secret is not None):
        missing = (
            "is required, to sign with" if read.kind == "webhook" else "belongs to a webhook: Slack's address is the secret"
        )
        problems.say((*at, "secret"), missing, FORMS if read.kind == "webhook" else "leave it out")
    for key, judge in (("url", url_problem), ("secret", secret_problem)):
        written = table.get(key)
        if isinstance(written, str) and (wrong := judge(written)):
            problems.say((*at, key), wrong, _URL_REMEDY if key == "url" else None)
    share, count = 0.05, 20
    if read.rejected is not None:
        share, count = (read.rejected, 0) if isinstance(read.rejected, float) else (0.0, read.rejected)
    return AlertConfig(
        name, read.kind, place=problems.places.find(at), url=table["url"], secret=table.get("secret"),
        on=frozenset(AlertState) if read.on is None else frozenset(read.on), when=read.when,
        rejected_share=share, rejected_count=count, enabled=read.enabled,
    )  # fmt: skip


def url_problem(text: str) -> str | None:
    """Return why nothing may be sent to *text*, which is not quoted: a Slack address is a secret."""
    import httpx

    from core.http.hosts import host_of, is_loopback  # brings all of the client along, which a config with references needs not

    try:
        url = httpx.URL(text)
        host = host_of(url)
    except (httpx.InvalidURL, UnicodeError):
        return "is no address"
    if not host or url.scheme not in ("http", "https"):
        return "is no address"
    if url.userinfo:
        return "has a user or password in it, which belongs elsewhere"
    return None if url.scheme == "https" or is_loopback(host) else "is not https"


def secret_problem(text: str) -> str | None:
    """Return why *text* cannot sign anything."""
    bare = text.removeprefix(_PREFIX)
    try:
        key = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True)
    except (binascii.Error, ValueError):
        return f"is not base64; `openssl rand -base64 32` makes one, {_PREFIX} before it or not"
    if len(key) < LEAST_SECRET_BYTES:
        return f"is too short: {LEAST_SECRET_BYTES} bytes or more, in base64; `openssl rand -base64 32` makes one"
    return None


def endpoint(alert: AlertConfig, folder: FilePath, environ: Mapping[str, str]) -> Endpoint:
    """
    Return where *alert* is sent, secrets in place.

    Raises:
        ConfigError: one of them is not there, or cannot be what it should be.
    """
    problems: list[Problem] = []
    url = _resolved(alert, "url", url_problem, folder, environ, problems)
    secret = None if alert.secret is None else _resolved(alert, "secret", secret_problem, folder, environ, problems)
    if problems:
        raise ConfigError(*problems)
    return Endpoint(url, secret)


def _resolved(
    alert: AlertConfig,
    key: str,
    judge: Callable[[str], str | None],
    folder: FilePath,
    environ: Mapping[str, str],
    problems: list[Problem],
) -> str:
    """Return the text that a secret stands for, "" and a problem where there is none or it will not do."""

    def say(message: str, remedy: str | None) -> None:
        at = f"alerts.{alert.name}.{key}"
        problems.append(Problem(message, file=alert.place.file, line=alert.place.line, key=at, remedy=remedy))

    try:
        text = resolve_secret(getattr(alert, key), folder, environ)
    except ConfigError as error:
        for problem in error.problems:
            say(problem.message, problem.remedy)
        return ""
    if wrong := judge(text):
        say(wrong, _URL_REMEDY if key == "url" else None)
    return text
