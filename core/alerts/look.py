"""
Look: what changed since it was last told, written down together with the message of it, in one transaction.

So a state is never without its message nor told twice, whoever looks and wherever the process is killed. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from core.alerts import notices
from core.alerts.conditions import look_around
from core.alerts.judge import Verdict, judge
from core.clock import from_us, to_us
from core.config.model import AlertConfig, AlertState, Config
from core.store import Store, alerts


def look(store: Store, config: Config, now: datetime, *, daemon: bool, began_at: datetime | None = None) -> int:
    """
    Note every change of state that an alert tells of, with its message; return how many messages are new.

    *daemon*: whether the daemon looks, or a command, which tells only what `when = "always"` asks for.
    """
    chosen = [one for one in config.alerts.values() if one.enabled and (daemon or one.when == "always")]
    if daemon:
        _forget(store, config)
    if not chosen or not any(_changes(verdict) for _, verdict in _verdicts(store, config, chosen, now, began_at)):
        return 0
    with store.atomic() as conn:  # looked at again, for between the two anybody may have run or told
        new = 0
        for alert, verdict in _verdicts(store, config, chosen, now, began_at):
            for condition in verdict.begun:
                since = to_us(condition.since)
                alerts.begin(conn, alert.name, condition.subject, condition.state, since=since, reason=condition.reason)
                alerts.post(conn, alert.name, notices.begun(condition, now).as_json(), at=to_us(now))
            for (subject, state), began in verdict.over.items():
                alerts.end(conn, alert.name, subject, state)
                alerts.post(conn, alert.name, notices.over(subject, state, began, now).as_json(), at=to_us(now))
            for subject, state in verdict.dropped:
                alerts.end(conn, alert.name, subject, state)
            new += len(verdict.begun) + len(verdict.over)
        return new


def _verdicts(
    store: Store, config: Config, chosen: Sequence[AlertConfig], now: datetime, began_at: datetime | None
) -> list[tuple[AlertConfig, Verdict]]:
    seen = look_around(store.conn, config, now, began_at=began_at)
    told = alerts.told(store.conn)
    return [
        (one, judge(one, seen, {(s, AlertState(state)): from_us(at) for (s, state), at in told.get(one.name, {}).items()}))
        for one in chosen
    ]


def _changes(verdict: Verdict) -> bool:
    return bool(verdict.begun or verdict.over or verdict.dropped)


def _forget(store: Store, config: Config) -> None:
    """An alert that is taken out of the config is told nothing more, not even what waited for it."""
    gone = alerts.names(store.conn) - {name for name, one in config.alerts.items() if one.enabled}
    if gone:
        with store.atomic() as conn:
            alerts.drop(conn, gone)
