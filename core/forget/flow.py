"""
The line: begin -> remove -> erase -> sweep -> resolve -> scrub, each step of which may be interrupted and is gone on with.

From the first step on nobody stores or adds the person any more. The store is swept only when every destination has answered or
was let go of, for what is known here is what they are asked by. What is left to do by hand is told, not forgotten.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any, Final

from pyroaring import BitMap

from core import normalise
from core.clock import to_us
from core.config.model import Config
from core.config.names import suggest
from core.errors import ConfigError, HubError, LeaseLost, Problem, Stopped, told
from core.forget import certificate
from core.forget.ask import Case, Forgot, Step, Wish, ask, ask_later, named, to_erase, told_of
from core.forget.certificate import Certificate
from core.forget.copies import looked_into, with_findings
from core.forget.hand import by_hand_of
from core.forget.remove import holding, patient_lease
from core.hub import Hub, Session
from core.pulling.fill import resolve_now
from core.pushing.company_members import names_of
from core.store import Store, audiences, forgettings, runs
from core.store.forgettings import Forgetting, State
from core.store.forgotten import Forgotten, Scopes, returned
from core.store.people import as_id, find_profiles
from core.store.person_key import KEY_BYTES, PersonKey, ensure_key, lose_key, open_key
from core.store.refusals import hash_forgotten
from core.store.runs import Status
from core.store.scrub import overwrite_deleted, scrub
from core.store.sweep import sweep
from core.store.traces import Traces, gather

NOBODYS: Final = PersonKey(bytes(KEY_BYTES))
"""What a preview counts with: the store's own key is made with the first forgetting."""
ANY_NAME: Final = "asked"
"""Kind of the digest of what a person typed, whatever it names."""


def forget(hub: Hub, wish: Wish, *, step: Step = lambda _: None) -> Forgot:
    """
    Forget whoever *wish* names, or go on with it.

    Raises:
        ConfigError: nobody is known by it, or several are, or a connection is not in the config.
        StoreError: the key is gone, or the database could not be written; call it once more.
    """
    _check_names(hub.config, wish.by_hand)
    with hub.session() as session, hub.store() as store, patient_lease(hub, "forget"):
        overwrite_deleted(store.conn)
        hub.register(store)
        resolve_now(hub, store)
        known = _ended(store, wish.who)
        if known is not None and known.state is State.DONE:
            return _ask_later(session, store, wish, known, step) if wish.everywhere else Forgot(dict(known.certificate))
        if known is not None:
            return Forgot(_finish(hub, store, known, step))
        traces = identify(store, wish.who)
        begun = _begin(hub, store, wish, traces)
        step("begun")
        run_id = runs.start_run(store, "forget", "forget", at=hub.clock())
        case = Case(session, store, wish=wish, traces=traces, forgetting=begun, run_id=run_id, step=step)
        forgot = _run(case, ask)
        if forgot.status is not Status.DONE:
            return forgot
        swept = _sweep(hub, store, case, forgot.certificate)
        step("swept")
        return Forgot(_finish(hub, store, swept, step))


def _run(case: Case, line: Callable[[Case], Forgot]) -> Forgot:
    """Have others asked, as a run that is listed with its requests."""
    store, hub, session = case.store, case.hub, case.session
    try:
        forgot = line(case)
    except HubError as error:
        ended = Status.STOPPED if isinstance(error, Stopped | LeaseLost) else Status.FAILED
        runs.finish_run(store, case.run_id, ended, at=hub.clock(), error=told(error), requests=session.taken())
        raise
    runs.finish_run(store, case.run_id, forgot.status, at=hub.clock(), requests=session.taken())
    return forgot


def _ask_later(session: Session, store: Store, wish: Wish, known: Forgetting, step: Step) -> Forgot:
    address = _address(wish.who)
    typed = ("email", address) if address is not None else ("user_id", wish.who.strip().removeprefix("user_id:"))
    run_id = runs.start_run(store, "forget", "forget", at=session.hub.clock())
    traces = Traces(frozenset(), identifiers=frozenset([typed]))
    return _run(Case(session, store, wish=wish, traces=traces, forgetting=known, run_id=run_id, step=step), ask_later)


def identify(store: Store, who: str) -> Traces:
    """
    Return the traces of whom *who* names; an address that nobody has is one all the same.

    Raises:
        ConfigError: nobody is known by it, or several are.
    """
    found = _named(store, who)
    address = _address(who)
    shared = _sharing(store, address) if address is not None and not found else []
    if len(found) > 1 or len(shared) > 1:  # an address that too many have joins nobody
        told = ", ".join(f"profile:{id_}" for id_ in found or shared)
        raise ConfigError(Problem(f"several people are known by that: {told}", remedy="say which, by one of these"))
    if not found and address is None:
        remedy = "`tagalong person WHO` tells who is known by what; an address may be forgotten before it is known"
        raise ConfigError(Problem("nobody is known by that", remedy=remedy))
    return gather(store.conn, found, [("email", address)] if address is not None else [])


def _named(store: Store, who: str) -> list[int]:
    """As `find_profiles`; `profile:7` is the profile 7 and nobody else."""
    kind, colon, number = who.strip().partition(":")
    if kind == "profile" and colon:
        return [row[0] for row in store.conn.execute("SELECT id FROM profiles WHERE id = ?", (as_id(number),))]
    return find_profiles(store, who)


def _sharing(store: Store, address: str) -> list[int]:
    return [row[0] for row in store.conn.execute("SELECT id FROM profiles WHERE email = ? ORDER BY id", (address,))]


def preview(hub: Hub, wish: Wish) -> Certificate:
    """Return the certificate that `forget` would make, as far as it can be told without asking anybody."""
    _check_names(hub.config, wish.by_hand)
    with hub.store() as store:
        hub.register(store)
        resolve_now(hub, store)
        traces = identify(store, wish.who)
        people = BitMap(traces.profiles)
        told: dict[str, dict[str, Any]] = {}
        for row in audiences.audiences(store.conn):
            if holding(store, row, people):
                did = "by_hand" if row.connection in wish.by_hand else "to be removed"
                told_of(hub, told, row.connection)["audiences"].append({"audience": named(store, row), "did": did})
        for name in to_erase(hub, wish):
            erasure = hub.connector(name).erasure
            does = erasure.does if erasure is not None else "erases the person"
            told_of(hub, told, name)["erasure"] = {"did": "to be asked", "does": does}
        made = certificate.make(
            hub.path,
            subject=b"",
            begun_at=to_us(hub.clock()),
            connections=list(told.values()),
            by_hand=by_hand_of(hub, store, traces, {}, everywhere=wish.everywhere, refused=wish.by_hand),
            rows=_rows_of(hub, store, traces),
            digests=len(forgettings.digests(store.conn, NOBODYS, traces)),
        )
        backups = looked_into(certificate.backups_of(store.conn, hub.path), traces)
        return {**made, "who": _counted(traces), "backups": backups}


def _counted(traces: Traces) -> dict[str, Any]:
    """Return how many people they are and what is known of them where, in numbers: a preview names nobody either."""
    return {
        "people": 1 if traces.profiles else 0,
        "identifiers": dict(sorted(Counter(kind for kind, _ in traces.identifiers).items())),
        "records": dict(sorted(Counter(f"{connection}.{stream}" for connection, stream, *_ in traces.records).items())),
        "events": traces.events,
    }


class _Undone(Exception):  # noqa: N818 - how a transaction is ended that was only to be counted
    pass


def _rows_of(hub: Hub, store: Store, traces: Traces) -> dict[str, int]:
    """Return how many rows a sweep would change, by doing it and taking it back."""
    rows: dict[str, int] = {}
    try:
        with store.atomic() as conn:
            rows.update(sweep(conn, traces, NOBODYS, now=to_us(hub.clock()), companies=names_of(hub.config, conn)))
            raise _Undone  # noqa: TRY301 - the transaction's way out
    except _Undone:
        return rows


def forget_again(hub: Hub) -> int:
    """
    Sweep out whoever was forgotten and is in the store all the same, as after it was put back from a copy.

    Nobody is asked: the destinations were, when it was first done. Returns how many people that were.
    """
    with hub.store() as store, patient_lease(hub, "forget"):
        overwrite_deleted(store.conn)
        hub.register(store)
        resolve_now(hub, store)
        with store.atomic() as conn:
            found = returned(conn, hub.path)
            back = [gather(conn, [profile_id]) for profile_id in found.profiles]
            if found.identifiers or found.remotes:
                nobodys = gather(conn, [], found.identifiers)
                back.append(replace(nobodys, remotes=nobodys.remotes | found.remotes))
            for traces in back:
                key = ensure_key(conn, hub.path)
                sweep(conn, traces, key, now=to_us(hub.clock()), companies=names_of(hub.config, conn))
            hash_forgotten(conn, Forgotten(conn, hub.path))
        if found:
            resolve_now(hub, store)
            scrub(store, hub.sleep)
        return len(found)


def lift(hub: Hub, who: str) -> int:
    """Let somebody who was forgotten come back with the next pull; return how many forgettings that ended."""
    with hub.store() as store, store.atomic() as conn:
        key = open_key(conn, hub.path)
        return 0 if key is None else forgettings.lift(conn, _marks(conn, key, who))


def give_up_key(hub: Hub) -> int:
    """Let everybody come back, where the key is lost for good; return how many keyed hashes there were."""
    with hub.store() as store, store.atomic() as conn:
        return lose_key(conn)


# --- the steps -------------------------------------------------------------------------------------------------------


def _check_names(config: Config, names: Collection[str]) -> None:
    unknown = sorted(set(names) - config.connections.keys())
    if unknown:
        raise ConfigError(Problem(f"there is no connection {unknown[0]!r}; {suggest(unknown[0], config.connections)}"))


def _address(who: str) -> str | None:
    """Return the address that *who* is, with its kind before it or not."""
    return normalise.email(who) or normalise.email(who.strip().removeprefix("email:"))


def _marks(conn: sqlite3.Connection, key: PersonKey, who: str) -> list[bytes]:
    who, address = who.strip(), _address(who)
    kind, colon, value = who.partition(":")
    marks = [key.digest(ANY_NAME, who), key.digest("user_id", who)]
    marks += [key.digest("email", address)] if address is not None else []
    return marks + ([key.digest(Scopes(conn).kind(kind), value)] if colon and value else [])


def _ended(store: Store, who: str) -> Forgetting | None:
    """Return what an earlier call has got out of the store, if the store knows nobody of that name any more."""
    key = open_key(store.conn, store.path)
    if key is None or _named(store, who):
        return None
    swept = forgettings.find(store.conn, _marks(store.conn, key, who), (State.SWEPT,))
    return swept or forgettings.find(store.conn, _marks(store.conn, key, who), (State.DONE,))


def _begin(hub: Hub, store: Store, wish: Wish, traces: Traces) -> Forgetting:
    with store.atomic() as conn:
        key = ensure_key(conn, hub.path)
        marks = forgettings.digests(conn, key, traces)
        subject = key.digest(ANY_NAME, wish.who.strip())
        return forgettings.begin(conn, subject, marks, traces.profiles, at=to_us(hub.clock()))


def _sweep(hub: Hub, store: Store, case: Case, made: Certificate) -> Forgetting:
    """Out of every table, in one transaction; more may be known of them by now, so they are looked for anew."""
    name = case.forgetting.name
    with store.atomic() as conn:
        key = ensure_key(conn, hub.path)
        now = to_us(hub.clock())
        traces = gather(conn, case.traces.profiles, case.traces.identifiers)
        forgettings.begin(conn, case.forgetting.subject, forgettings.digests(conn, key, traces), traces.profiles, at=now)
        made = {**made, "backups": looked_into(certificate.backups_of(conn, hub.path), traces)}
        rows = sweep(conn, traces, key, now=now, companies=names_of(hub.config, conn))
        kept = {**made["kept"], "keyed_hashes": forgettings.marks_kept(conn, name)}
        forgettings.move(conn, name, State.SWEPT, {**made, "store": {**made["store"], "rows": rows}, "kept": kept}, at=now)
        return forgettings.forgetting(conn, name)


def _finish(hub: Hub, store: Store, swept: Forgetting, step: Step) -> Certificate:
    resolve_now(hub, store)  # what companies are called
    step("resolved")
    scrub(store, hub.sleep)
    step("scrubbed")
    with store.atomic() as conn:
        now = to_us(hub.clock())
        backups = with_findings(certificate.backups_of(conn, hub.path), swept.certificate["backups"])
        made = certificate.finish(dict(swept.certificate), at=now, backups=backups)
        forgettings.move(conn, swept.name, State.DONE, made, at=now)
    return made
