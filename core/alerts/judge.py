"""
What one alert tells of what was seen, and what of that is new: pure functions over values.

One failure is told once. A connection that failed is overdue and stale for the same reason, and a sync that is
held for them is no news either; but only for whoever is told of the cause.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime

from core.alerts.conditions import Condition, Seen
from core.config.model import AlertConfig, AlertState

Key = tuple[str, AlertState]
"""Subject and state."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be told, and what is to be forgotten without a word."""

    begun: list[Condition]
    over: dict[Key, datetime]
    """Since when it had been so."""
    _: KW_ONLY
    dropped: list[Key] = field(default_factory=list)
    """Taken out of the config, or out of what the alert tells."""


def judge(alert: AlertConfig, seen: Seen, told: Mapping[Key, datetime]) -> Verdict:
    """Return the changes since what *alert* has *told* as begun (and since when each had been so)."""
    wanted, consequences = _wanted(alert, seen)
    begun = [condition for key, condition in wanted.items() if key not in told and key not in seen.unknown]
    over: dict[Key, datetime] = {}
    dropped: list[Key] = []
    for key, since in told.items():
        subject, state = key
        if subject not in seen.watched or state not in alert.on:
            dropped.append(key)
        elif key in wanted or key in consequences or key in seen.unknown:
            continue
        elif AlertState.RECOVERED in alert.on:
            over[key] = since
        else:
            dropped.append(key)
    return Verdict(begun, over, dropped=dropped)


def _wanted(alert: AlertConfig, seen: Seen) -> tuple[dict[Key, Condition], set[Key]]:
    """Return what the alert tells of, and what it leaves out because it tells of its cause."""
    chosen = [one for one in seen.conditions if one.state in alert.on and _enough(alert, one)]
    failed = {one.subject for one in chosen if one.state is AlertState.FAILED}
    late = failed | {one.subject for one in chosen if one.state is AlertState.OVERDUE}
    told_of = {one.subject.split(".")[1] for one in chosen if one.subject.startswith(("connection.", "stream."))}
    wanted: dict[Key, Condition] = {}
    left_out: set[Key] = set()
    for one in chosen:
        connection = f"connection.{one.subject.split('.')[1]}"
        if (
            (one.state is AlertState.OVERDUE and one.subject in failed)
            or (one.state is AlertState.STALE and connection in late)
            or (one.sources and one.sources <= told_of)
        ):
            left_out.add((one.subject, one.state))
        else:
            wanted[one.subject, one.state] = one
    return wanted, left_out


def _enough(alert: AlertConfig, condition: Condition) -> bool:
    if condition.state is not AlertState.REJECTED:
        return True
    count, of = condition.counts["rejected"], condition.counts["of"]
    return count > alert.rejected_count and count > alert.rejected_share * of
