"""
What is told: the beginning or the end of one state of one subject, as a value that the outbox keeps and each alert words.

No address, no secret, no answer's body and no link is in one, whatever a reason brings along.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass, field
from datetime import datetime
from typing import Final

from core.alerts.conditions import Condition, plain
from core.clock import iso, to_us
from core.config.model import AlertState

_LINK: Final = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
_SAID: Final = {
    AlertState.FAILED: "has failed",
    AlertState.HELD: "is held",
    AlertState.STALE: "is stale",
    AlertState.REJECTED: "had too many refused",
    AlertState.OVERDUE: "is overdue",
}
_WAS: Final = {
    AlertState.FAILED: "had failed",
    AlertState.HELD: "was held",
    AlertState.STALE: "was stale",
    AlertState.REJECTED: "had too many refused",
    AlertState.OVERDUE: "was overdue",
}


@dataclass(frozen=True, slots=True)
class Notice:
    """One message, whoever gets it."""

    what: str
    """begun, over, test."""
    _: KW_ONLY
    subject: str = ""
    """connection.NAME, stream.CONNECTION.NAME, sync.NAME."""
    state: str = ""
    """failed, held, stale, rejected, overdue: what began, or is over."""
    at: str
    """When it was noticed, ISO 8601."""
    since: str = ""
    reason: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)
    remedy: str = ""

    @property
    def kind(self) -> str:
        """What the subject is: connection, stream, sync."""
        return self.subject.partition(".")[0]

    @property
    def name(self) -> str:
        return self.subject.partition(".")[2]

    def as_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False)


def begun(condition: Condition, at: datetime) -> Notice:
    """Return the message that *condition* is there."""
    return Notice(
        "begun", subject=condition.subject, state=condition.state.value, at=_time(at), since=_time(condition.since),
        reason=_unlinked(plain(condition.reason)), counts=dict(condition.counts), remedy=condition.remedy,
    )  # fmt: skip


def over(subject: str, state: AlertState, since: datetime, at: datetime) -> Notice:
    """Return the message that what was told is over."""
    return Notice("over", subject=subject, state=state.value, at=_time(at), since=_time(since))


def trial(at: datetime) -> Notice:
    """Return the message that `tagalong alerts test` sends."""
    return Notice("test", at=_time(at), reason="a test: whoever reads this would be told of failures and of what is held")


def read(text: str) -> Notice:
    """Return the message that `as_json` wrote."""
    return Notice(**json.loads(text))


def lines(notice: Notice) -> list[str]:
    """Return the message for people, the headline first."""
    if notice.what == "test":
        return ["Tagalong: a test", notice.reason]
    state, subject = AlertState(notice.state), f"the {notice.kind} {notice.name}"
    if notice.what == "over":
        return [f"Well again: {subject}", f"It {_WAS[state]} since {_spoken(notice.since)}."]
    told = [f"{subject[:1].upper()}{subject[1:]} {_SAID[state]}", notice.reason, f"since {_spoken(notice.since)}"]
    if counts := ", ".join(f"{name} {number:,}" for name, number in notice.counts.items() if number):
        told.append(counts)
    if notice.remedy:
        told.append(f"What to do: {notice.remedy}")
    return told


def _time(at: datetime) -> str:
    return iso(to_us(at.replace(microsecond=0)))


def _spoken(time: str) -> str:
    return f"{time[:10]} {time[11:16]} UTC"


def _unlinked(text: str) -> str:
    return _LINK.sub("[link]", text)
