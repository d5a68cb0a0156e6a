"""
What a person lets through: the members that a sync holds, words that no pull has shown, another audience, a source as it is.

An approval is of what was shown and no more: members for 24 hours as far as they still hold, a source for 7 days, a text
until it is another. What is held goes on growing while somebody looks at it, so what was looked at (`look`) is handed on to
`approve`: of members who came since none is let through, and of a source that lost more since nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from datetime import datetime

from pyroaring import BitMap

from core.clock import to_us
from core.config.names import suggest
from core.errors import ConfigError, HubError, Problem
from core.hub import Hub
from core.planning.guards import STORED_GUARDS, HeldKind, quiet, sources_held
from core.pulling.fill import OnEvent, resolve_now
from core.pulling.freshness import source_states
from core.run import SyncReport, plan, sync
from core.store import Store, holds, leases
from core.store.holds import Hold
from core.store.vanish import approve_stream

MEMBERS = frozenset(
    {
        HeldKind.REMOVALS,
        HeldKind.ADDS,
        HeldKind.MOVES,
        HeldKind.BASELINE,
        HeldKind.REPLACE,
        HeldKind.RETARGET,
        HeldKind.UNSEEN,
    }
)
TEXTS = frozenset({HeldKind.RETARGET, HeldKind.UNSEEN, HeldKind.GONE, HeldKind.RESTORED, HeldKind.REPLACE})


class HeldMore(HubError):  # noqa: N818 - a state of the world
    """More is held by now than somebody looked at, or than they would let through."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What somebody is asked to let through."""

    target: str
    _: KW_ONLY
    holds: tuple[Hold, ...] = ()
    """Of a sync."""
    rows: int = 0
    """Of a stream: how many would be deleted."""
    reasons: tuple[str, ...] = ()

    @property
    def adds(self) -> int:
        return sum(len(_let_through(self.holds, label)[0]) for label in self.labels)

    @property
    def removes(self) -> int:
        return sum(len(_let_through(self.holds, label)[1]) for label in self.labels) + self.strangers

    @property
    def strangers(self) -> int:
        """Members to be removed whom nobody knows."""
        return sum(int(hold.facts.get("strangers", 0)) for hold in self.holds)

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(hold.target for hold in self.holds))


@dataclass(frozen=True, slots=True)
class Approval:
    """What was let through."""

    target: str
    _: KW_ONLY
    holds: tuple[Hold, ...] = ()
    adds: int = 0
    removes: int = 0
    deleted: int = 0
    """Rows of a stream that were deleted."""
    report: SyncReport | None = None
    """Of the sync that sent them."""


def look(hub: Hub, target: str) -> Shown:
    """
    Return what `approve` would let through of *target* now; where nothing is held of a sync, it is planned anew.

    Raises:
        ConfigError: there is no such thing, or nothing of it is held that can be approved.
    """
    with hub.store() as store:
        hub.register(store)
        if "." in target:
            return _look_at_stream(hub, store, target)
        if target not in hub.config.syncs:
            raise _unknown("sync", target, suggest(target, hub.config.syncs))
        held = holds.holds(store.conn, sync=target)
    if not held:
        plan(hub, names=[target])
        with hub.store() as store:
            held = holds.holds(store.conn, sync=target)
    if not any(hold.kind in MEMBERS | TEXTS for hold in held):
        raise _nothing(target, held)
    return Shown(target, holds=tuple(held), reasons=tuple(dict.fromkeys(f"{hold.target}: {hold.reason}" for hold in held)))


def approve(
    hub: Hub,
    target: str,
    *,
    shown: Shown | None = None,
    at_most: int | None = None,
    send: bool = True,
    on_event: OnEvent | None = None,
) -> Approval:
    """
    Let through what is held of *target*: a sync, or `CONNECTION.STREAM`.

    *shown* is what somebody looked at, if they did; *at_most* how many members, or rows of a stream, they would let through.
    What a sync holds is sent now, or with *send* False by later runs, as far as it still holds. A stream's vanished rows are
    deleted; a failed or stale one is let be for 7 days.

    Raises:
        ConfigError: there is no such thing, or nothing of it is held that can be approved.
        HeldMore: it is more than *at_most*, or a stream has lost more rows than were *shown*. Nothing is let through.
        LeaseLost: the connection of that stream is just being pulled.
    """
    shown = look(hub, target) if shown is None else shown
    size = shown.rows + shown.adds + shown.removes
    if at_most is not None and size > at_most:
        raise HeldMore(f"{size:,} wait of {target}, more than {at_most:,}; nothing is let through: look at it once more")
    if "." in target:
        with hub.store() as store:
            return _approve_stream(hub, store, shown)
    approval = _approve_members(hub, shown)
    if not send:
        return approval
    report = sync(hub, names=[target], pull=False, trigger="approve", on_event=on_event)
    return Approval(target, holds=approval.holds, adds=approval.adds, removes=approval.removes, report=report)


def _approve_members(hub: Hub, shown: Shown) -> Approval:
    at = to_us(hub.clock())
    adds, removes = 0, shown.strangers
    with hub.store() as store, store.atomic() as conn:
        held = holds.holds(conn, sync=shown.target)
        for label in shown.labels:
            # who is held no more is not let through beforehand, and who came since was not looked at
            put_in, taken_out = (
                one & two for one, two in zip(_let_through(shown.holds, label), _let_through(held, label), strict=True)
            )
            holds.approve_members(conn, label, put_in, taken_out, at=at)
            adds += len(put_in)
            removes += len(taken_out)
            for hold in shown.holds:
                if hold.target == label and hold.kind in TEXTS and hold.definition is not None:
                    holds.approve_text(conn, label, hold.kind, hold.definition, at=at)
    return Approval(shown.target, holds=shown.holds, adds=adds, removes=removes)


def _let_through(held: Iterable[Hold], label: str) -> tuple[BitMap, BitMap]:
    """
    Return whose adds and removals an approval of *held* is of, at the audience *label*.

    Of none where its sources hold it as well, or the copy that was put back: numbers out of such a plan are no plan's, and the
    size guards look at those of the next one.
    """
    of_label = [hold for hold in held if hold.target == label]
    if not all(hold.kind in MEMBERS for hold in of_label):
        return BitMap(), BitMap()
    return BitMap().union(*(hold.adds for hold in of_label)), BitMap().union(*(hold.removes for hold in of_label))


def _nothing(target: str, held: list[Hold]) -> ConfigError:
    if not held:
        return ConfigError(Problem(f"nothing of {target} is held"))
    streams = sorted({stream for hold in held for stream in hold.facts.get("approve", ()) if "." in stream})
    reasons = "; ".join(hold.reason for hold in held)
    if all(hold.kind == HeldKind.UNREADABLE for hold in held):
        return ConfigError(Problem(f"{target} is held: {reasons}", remedy="what nobody can know cannot be approved"))
    remedy = " and ".join(f"tagalong approve {stream}" for stream in streams) or "pull the source to its end first"
    return ConfigError(Problem(f"{target} is held for its sources: {reasons}", remedy=remedy))


def _unknown(what: str, target: str, instead: str) -> ConfigError:
    return ConfigError(Problem(f"there is no {what} {target!r}; {instead}", remedy="`tagalong status` lists what is held"))


def _instead(hub: Hub, store: Store, target: str) -> str:
    """Return what to name instead of a stream that is not there; a group is let through with its whole sync."""
    name = target.partition(".")[0]
    if name in hub.config.syncs:
        return f"what a sync holds is let through whole: `tagalong approve {name}`"
    streams = store.conn.execute("SELECT c.name || '.' || s.name FROM streams s JOIN connections c ON c.id = s.connection_id")
    return suggest(target, [name for (name,) in streams])


def _look_at_stream(hub: Hub, store: Store, target: str, *, leased: bool = False) -> Shown:
    connection, _, stream = target.partition(".")
    row = store.conn.execute(
        "SELECT s.completed_at FROM streams s JOIN connections c ON c.id = s.connection_id WHERE c.name = ? AND s.name = ?",
        (connection, stream),
    ).fetchone()
    if row is None:
        raise _unknown("stream", target, _instead(hub, store, target))
    if row[0] is None:
        raise ConfigError(Problem(f"{target} has never been pulled to its end", remedy=f"tagalong pull {connection}"))
    at = hub.clock()
    (state,) = source_states(store.conn, [target], config=hub.config, now=at, leased=leased)
    held = sources_held([state], at)
    if not (held or state.vanished or state.vanished_held):
        raise _nothing(target, [])  # said beforehand, it would let a failure of tomorrow through
    return Shown(target, rows=0 if state.removed else state.vanished, reasons=tuple(one.reason for one in held))


def _approve_stream(hub: Hub, store: Store, shown: Shown) -> Approval:
    connection, _, stream = shown.target.partition(".")
    # what a pull under way has collected so far nobody was shown, and it may yet bring some of it again
    with leases.hold(hub.path, f"connection.{connection}", hub.clock):
        now = _look_at_stream(hub, store, shown.target, leased=True)
        if now.rows > shown.rows:
            raise HeldMore(
                f"{now.rows:,} rows of {shown.target} wait by now, and {shown.rows:,} were shown; look at it once more"
            )
        at = hub.clock()
        _let_be(hub, store, shown.target, at)
        deleted = approve_stream(store, connection, stream, at)
    resolve_now(hub, store)
    return Approval(shown.target, deleted=deleted)


def _let_be(hub: Hub, store: Store, target: str, at: datetime) -> None:
    """
    Let syncs run on what is stored of a stream that failed, broke off or is stale, or on one that is quiet.

    Nobody who confirms a loss has said anything of a pull that fails tomorrow.
    """
    (state,) = source_states(store.conn, [target], config=hub.config, now=at, leased=True)
    stored = any(guard(state, at) is not None for guard in STORED_GUARDS)
    if stored or quiet(state, at) is not None:
        with store.atomic() as conn:
            holds.approve_source(conn, target, at=to_us(at), quiet=not stored)
