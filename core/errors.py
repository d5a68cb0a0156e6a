"""
The errors of the hub, grouped by what the runner does about them.

Nobody reads a message to decide. A message says what happened, where, and what to try next; it holds no secret, no
address and no response body.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from unicodedata import east_asian_width

WIDEST: Final = 120
"""How much of a line is shown, in characters."""


class HubError(Exception):
    """Anything the hub raises on purpose."""


def told(error: Exception) -> str:
    """Return what may be shown and kept of *error*: the text of one that nobody foresaw may quote people and secrets."""
    return str(error) if isinstance(error, HubError) else f"unexpected {type(error).__name__}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the configuration, ready to be shown."""

    message: str
    file: str | None = None
    line: int | None = None
    """1-based line in *file*."""
    key: str | None = None
    """Dotted key, as ``connections.crm.token``."""
    remedy: str | None = None
    """What to do: the nearest valid name, the variable to set."""
    source: str | None = None
    """The text of an expression, when the problem is inside one."""
    column: int | None = None
    """0-based column in *source* for the caret."""

    @property
    def placed(self) -> str:
        """The message after its file, line and key."""
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        return ": ".join(part for part in (where, self.key, self.message) if part)

    def __str__(self) -> str:
        lines = [self.placed]
        if self.source is not None and self.column is not None:
            before = self.source[: self.column]
            row = before.count("\n")
            start = before.rfind("\n") + 1
            lines += _pointed_at(self.source.split("\n")[row], self.column - start)
        if self.remedy:
            lines.append(f"  {self.remedy}")
        return "\n".join(lines)


def _pointed_at(line: str, column: int) -> list[str]:
    """Return the part of a line around a column, and a caret under it; behind tabs and wide characters, too."""
    begin = max(0, min(column - WIDEST // 2, len(line) - WIDEST))
    part = line[begin : begin + WIDEST]
    before, after = "…" * (begin > 0), "…" * (begin + WIDEST < len(line))
    blank = "".join("\t" if c == "\t" else "  " if east_asian_width(c) in "WF" else " " for c in line[begin:column])
    return [f"    {before}{part}{after}", f"    {' ' * len(before)}{blank}^"]


class ConfigError(HubError):
    """Stop before any request; a person must edit the configuration. Carries every problem found, not only the first."""

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(p if isinstance(p, Problem) else Problem(p) for p in problems)
        super().__init__("\n".join(str(p) for p in self.problems))


class StoreError(HubError):
    """The database cannot be used (full disk, locked, damaged, newer schema); the transaction in hand was rolled back."""


class PersonKeyError(StoreError):
    """The key that people were forgotten with is gone, unreadable or another one; the database itself can be written."""


class NewerStoreError(StoreError):
    """A newer version of this program wrote the database, perhaps while this one ran; nothing more may be written."""


class LeaseLost(HubError):  # noqa: N818 - a state of the world, named like QuotaExhausted
    """Somebody else holds the lease of this sync or connection; stop without touching anything more."""


class Stopped(HubError):  # noqa: N818 - a state of the world
    """A wait was interrupted because the process is shutting down."""


class ConnectorError(HubError):
    """Something went wrong between us and a vendor. The core fills in where (see `locate`)."""

    def __init__(
        self,
        message: str,
        *,
        connection: str = "",
        stream: str = "",
        audience: str = "",
        status: int | None = None,
        request_id: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.connection = connection
        self.stream = stream
        self.audience = audience
        self.status = status
        self.request_id = request_id
        self.code = code
        """The vendor's own short code, never its free text."""
        self.said = ""
        """The vendor's sentence, masked (`core.masking`): for who asks after one member, not for logs nor this error's text."""

    def locate(self, *, connection: str = "", stream: str = "", audience: str = "") -> None:
        """Say where it happened, without replacing what is already known."""
        self.connection = self.connection or connection
        self.stream = self.stream or stream
        self.audience = self.audience or audience

    def __str__(self) -> str:
        where = "/".join(part for part in (self.connection, self.stream or self.audience) if part)
        facts = ", ".join(
            f"{name} {value}"
            for name, value in (("status", self.status), ("code", self.code), ("request", self.request_id))
            if value is not None
        )
        text = f"{where}: {self.message}" if where else self.message
        return f"{text} ({facts})" if facts else text


class TransientError(ConnectorError):
    """Worth another try with backoff: 5xx, timeout, connection lost."""

    def __init__(self, message: str, *, maybe_acted: bool = True, **where: object) -> None:
        super().__init__(message, **where)  # type: ignore[arg-type]  # the same keywords, passed on
        self.maybe_acted = maybe_acted
        """Whether the vendor may have carried the request out: True unless the connection was never made."""
        self.retry_after_s: float | None = None
        """How long the vendor asks us to wait (`Retry-After`), where it says."""


class RateLimited(TransientError):  # noqa: N818 - what the vendor says, not an error of ours
    """The vendor asks for patience; not carried out."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, **where: object) -> None:
        super().__init__(message, maybe_acted=False, **where)
        self.retry_after_s = retry_after_s


class AuthError(ConnectorError):
    """
    Stop this connection; a person must act: the key is wrong, revoked, or lacks a permission.

    *may_pass*: the vendor is known to refuse good credentials now and then, so it is asked again a few times first.
    """

    def __init__(self, message: str, *, may_pass: bool = False, **where: object) -> None:
        super().__init__(message, **where)  # type: ignore[arg-type]  # the same keywords, passed on
        self.may_pass = may_pass


class QuotaExhausted(ConnectorError):  # noqa: N818 - a state of the world
    """Pause this connection until *resume_at*; nothing is wrong."""

    def __init__(self, message: str, *, resume_at: datetime, **where: object) -> None:
        super().__init__(message, **where)  # type: ignore[arg-type]  # the same keywords, passed on
        self.resume_at = resume_at


class QuotaKept(QuotaExhausted):
    """What is left of the quota is kept for people (`reserve`); runs that nobody looks on go on at *resume_at*."""


class VendorAway(QuotaExhausted):
    """The vendor did not answer for a while and is left alone until *resume_at*; this request was not sent."""


class RejectedError(ConnectorError):
    """Not as it is: the core halves the batch; a member that is refused alone becomes a dead letter."""


class NotFoundError(RejectedError):
    """The thing asked for does not exist at the vendor (404, 410)."""


class ProtocolError(ConnectorError):
    """An answer we do not understand: stop the stream, keep the checkpoint."""
