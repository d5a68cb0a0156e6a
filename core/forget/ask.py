"""
What is asked elsewhere: out of every audience first, then erased; what is done already is not done again.

A connection that cannot be asked now leaves the forgetting open, and the next call goes on with it; `--by-hand` lets go of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Final

from pyroaring import BitMap

from core.clock import to_us
from core.contract import Verdict
from core.errors import ConnectorError, HubError, LeaseLost, QuotaExhausted, Stopped
from core.forget import certificate
from core.forget.certificate import Certificate
from core.forget.erase import ASKED, erase_at
from core.forget.hand import by_hand_of
from core.forget.remove import holding, patient_lease, remove_from
from core.hub import Hub, Session
from core.store import Store, audiences, forgettings
from core.store.audiences import AudienceRow
from core.store.forgettings import Forgetting, State
from core.store.runs import Status
from core.store.traces import Traces

MET: Final = frozenset({Verdict.DONE, Verdict.SENT, Verdict.PENDING})
"""Verdicts of a vendor who knows whom it was asked for."""
Step = Callable[[str], None]
"""Told after each step, by its name."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the person at the keyboard asked for."""

    who: str
    _: KW_ONLY
    everywhere: bool = False
    """Erase where it is heavy, too."""
    by_hand: frozenset[str] = frozenset()
    """Connections that are not to be asked; what is to be done there is listed."""


@dataclass(slots=True)
class Forgot:
    """What came of one call."""

    certificate: Certificate
    _: KW_ONLY
    status: Status = Status.DONE
    """done; else failed or waiting: something was not answered, and the next call goes on."""
    failed: dict[str, str] = field(default_factory=dict)
    """Connection to why it could not be asked."""


@dataclass(frozen=True, slots=True)
class Case:
    """One person being forgotten, and what that is done with."""

    session: Session
    store: Store
    _: KW_ONLY
    wish: Wish
    traces: Traces
    forgetting: Forgetting
    run_id: int
    step: Step
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def hub(self) -> Hub:
        return self.session.hub

    def keep(self, step: str, connection: str, what: str, result: Mapping[str, Any]) -> None:
        """Write down what came of a step."""
        with self.store.atomic() as conn:
            forgettings.note_step(conn, self.forgetting.name, step, connection, what, result, at=to_us(self.hub.clock()))

    def note(self, connection: str, error: Exception) -> bool:
        """Note why a connection could not be asked; return whether that is only a matter of time."""
        if isinstance(error, Stopped) and self.hub.stop.is_set():
            raise error  # the process is to end; a paused sync or connection is only not asked
        if isinstance(error, ConnectorError):
            error.locate(connection=connection)
        self.failed[connection] = str(error) if isinstance(error, HubError) else type(error).__name__
        return isinstance(error, QuotaExhausted | LeaseLost)


def ask(case: Case) -> Forgot:
    """Take the person out of every audience, then have them erased."""
    waiting = _remove(case)
    status = _erase(case, waiting=waiting)
    return Forgot(_certificate(case), status=status, failed=case.failed)


def ask_later(case: Case) -> Forgot:
    """
    Ask whom `--everywhere` asks and who was not asked when they were forgotten: by what was typed, for all else is gone.

    What is to be done by hand stays in the certificate wherever the answer does not say that somebody was there.
    """
    status, made = _erase(case, waiting=False), dict(case.forgetting.certificate)
    told = {str(one["connection"]): dict(one) for one in made["connections"]}
    met: set[str] = set()
    for (step, connection, _), result in forgettings.steps(case.store.conn, case.forgetting.name).items():
        if step == "erase":
            told_of(case.hub, told, connection)["erasure"] = _said(case.hub, connection, result)
            met |= {connection} if MET & result["verdicts"].keys() else set()
    made["connections"] = list(told.values())
    made["by_hand"] = [one for one in made["by_hand"] if one["connection"] not in met]
    with case.store.atomic() as conn:
        forgettings.move(conn, case.forgetting.name, State.DONE, made, at=to_us(case.hub.clock()))
    return Forgot(made, status=status, failed=case.failed)


def _erase(case: Case, *, waiting: bool) -> Status:
    for name in to_erase(case.hub, case.wish):
        if name in case.failed or ("erase", name, "") in forgettings.steps(case.store.conn, case.forgetting.name):
            continue
        try:
            result = erase_at(case.session, name, case.traces)
        except (HubError, OSError) as error:
            waiting |= case.note(name, error)
            continue
        case.keep("erase", name, "", result)
        case.step(f"erased {name}")
    return Status.WAITING if waiting else Status.FAILED if case.failed else Status.DONE


def _remove(case: Case) -> bool:
    """Take them out of the audiences; return whether one of them is only a matter of time."""
    hub, store, people, waiting = case.hub, case.store, BitMap(case.traces.profiles), False
    for sync in hub.config.syncs:
        with patient_lease(hub, f"sync.{sync}"):
            pass  # whoever planned before this began has sent it; whoever plans from now on leaves them out
    for row in audiences.audiences(store.conn):
        if row.connection in case.failed or not holding(store, row, people):
            continue
        if row.connection in case.wish.by_hand:
            case.keep("remove", row.connection, named(store, row), {"did": "by_hand", "reason": "as asked for"})
            continue
        try:
            with patient_lease(hub, f"sync.{(row.label or f'retired {row.id}').partition('.')[0]}") as lease:
                result = remove_from(case.session, store, row, people, lease=lease, run_id=case.run_id)
        except (HubError, OSError) as error:
            waiting |= case.note(row.connection, error)
            continue
        if result["did"] == "waiting":
            waiting, case.failed[row.connection] = True, str(result["reason"])
            continue
        case.keep("remove", row.connection, named(store, row), result)
        case.step(f"removed {row.connection} {row.name}")
    return waiting


def named(store: Store, row: AudienceRow) -> str:
    """Return an audience as a person would say it; with its account where that is not the connection's any more."""
    now = store.conn.execute("SELECT account FROM connections WHERE name = ?", (row.connection,)).fetchone()
    account = "" if now is not None and now[0] == row.account else f" of account {row.account}"
    return f"{row.kind} {row.name!r}{account}"


def to_erase(hub: Hub, wish: Wish) -> list[str]:
    """Return the connections that are asked to erase somebody."""
    found = []
    for name, connection in hub.config.connections.items():
        connector = hub.connector(name)
        light = connector.manifest.category in ASKED or wish.everywhere
        if connection.enabled and connector.erase is not None and light and name not in wish.by_hand:
            found.append(name)
    return found


def told_of(hub: Hub, told: dict[str, dict[str, Any]], connection: str) -> dict[str, Any]:
    """Return what a certificate says of one connection, made where it says nothing yet."""
    vendor = hub.connector(connection).manifest.title if connection in hub.config.connections else "no longer in the config"
    return told.setdefault(connection, {"connection": connection, "vendor": vendor, "audiences": [], "erasure": None})


def _said(hub: Hub, connection: str, result: Mapping[str, Any]) -> dict[str, Any]:
    erasure = hub.connector(connection).erasure if connection in hub.config.connections else None
    return {**result, "does": erasure.does if erasure else "erases the person"}


def _certificate(case: Case) -> Certificate:
    hub, store = case.hub, case.store
    taken = forgettings.steps(store.conn, case.forgetting.name)
    told: dict[str, dict[str, Any]] = {}
    for (step, connection, what), result in taken.items():
        if step == "remove":
            told_of(hub, told, connection)["audiences"].append({"audience": what, **result})
        else:
            told_of(hub, told, connection)["erasure"] = _said(hub, connection, result)
    return certificate.make(
        hub.path,
        subject=case.forgetting.subject,
        begun_at=case.forgetting.begun_at,
        connections=list(told.values()),
        by_hand=by_hand_of(hub, store, case.traces, taken, everywhere=case.wish.everywhere, refused=case.wish.by_hand),
        rows={},
        digests=forgettings.marks_kept(store.conn, case.forgetting.name),
    )
