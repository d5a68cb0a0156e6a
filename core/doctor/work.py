"""The work: what fails, waits or was left behind, as the store tells it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from core.clock import from_us, to_us
from core.doctor.finding import Finding, failed, listed, passed, skipped, warned
from core.doctor.patient import Patient
from core.errors import PersonKeyError
from core.pulling.freshness import source_states
from core.service.daemon_state import running_config
from core.store import ahead, holds, leases
from core.store.person_key import key_path, open_key
from core.store.runs import last_finished
from core.store.sources import began_after

SKEW: Final = timedelta(minutes=2)
"""How far ahead a time in the store may be of another machine's clock."""
LONG_OPEN: Final = timedelta(days=1)


def clock(patient: Patient) -> Finding:
    """Nothing that was written can have been written later than now."""
    soon = to_us(patient.now + SKEW)
    queries = {
        "a run": "SELECT max(max(started_at), max(coalesce(finished_at, 0))) FROM runs",
        "a lease": "SELECT max(renewed_at) FROM leases",
        "a set": "SELECT max(as_of) FROM member_sets",
        "a plan": "SELECT max(planned_at) FROM audiences",
    }
    late = []
    for what, query in queries.items():
        at = patient.conn.execute(query).fetchone()[0]
        if at is not None and at > soon:
            late.append(f"{what} at {_spell(from_us(at))}")
    if late:
        remedy = (
            "set the clock right (NTP); a pull from a vendor whose clock says the same gives all of it a time that has come"
        )
        return failed("clock", f"it is {_spell(patient.now)}, and the store knows of {listed(late)}", remedy)
    connections = {} if patient.config is None else patient.config.connections
    apart = {name: by for name, by in ahead.apart(patient.conn).items() if name in connections}
    if apart:
        told = [f"{abs(by)} {'behind' if by < timedelta(0) else 'ahead of'} {name}" for name, by in sorted(apart.items())]
        remedy = "set the clock right (NTP), unless the vendor's is wrong: a pull goes by what the vendor says"
        return warned("clock", f"it is {_spell(patient.now)}: {listed(told)} at its last pull", remedy)
    return passed("clock", _spell(patient.now))


def connections(patient: Patient) -> Finding:
    """Whose last pull failed, and since when."""
    if patient.config is None:
        return skipped("connections", "the config cannot be read")
    troubles = []
    for name, one in patient.config.connections.items():
        run = last_finished(patient.conn, "pull", name, after=began_after(patient.conn, name)) if one.enabled else None
        if run is not None and run.status == "failed":
            well = patient.conn.execute(
                "SELECT max(finished_at) FROM runs WHERE kind = 'pull' AND name = ? AND status = 'done'", (name,)
            ).fetchone()[0]
            since = "never pulled well" if well is None else f"last pulled well {_spell(from_us(well))}"
            troubles.append(f"{name} ({since}; {run.error})")
    if troubles:
        return failed("connections", f"failing: {listed(troubles)}", "`tagalong check NAME` says what to do")
    return passed("connections", f"{len(patient.config.connections)} as they should be")


def streams(patient: Patient) -> Finding:
    """Which sources are stale or were never complete."""
    if patient.config is None:
        return skipped("streams", "the config cannot be read")
    enabled = [name for name, one in patient.config.connections.items() if one.enabled]
    rows = patient.conn.execute(
        "SELECT c.name || '.' || s.name FROM streams s JOIN connections c ON c.id = s.connection_id"
        " WHERE s.removed_at IS NULL AND c.name IN (SELECT value FROM json_each(json_array("
        + ", ".join("?" * len(enabled))
        + ")))",
        enabled,
    )
    states = source_states(patient.conn, [name for (name,) in rows], config=patient.config, now=patient.now)
    never = [one.name for one in states if one.completed_at is None]
    stale = [one.name for one in states if one.stale_at is not None and one.stale_at < patient.now]
    told = [f"{what}: {listed(names)}" for what, names in (("never complete", never), ("stale", stale)) if names]
    if told:
        return warned("streams", "; ".join(told), "`tagalong pull` them, or see that the daemon runs; syncs on them are held")
    return passed("streams", f"{len(states)} fresh")


def leases_of_the_dead(patient: Patient) -> Finding:
    """What processes left that are gone: harmless, and telling of kills."""
    rows = patient.conn.execute("SELECT name, pid, host FROM leases").fetchall()
    dead = [
        f"{name} (process {pid} on {host})" for name, pid, host in rows if not leases.is_held(patient.conn, name, patient.clock)
    ]
    if dead:
        return warned("leases", f"left by what is gone: {listed(dead)}", "nothing: whoever comes next takes over at once")
    hung = [name for (name, _, _) in rows if not leases.is_renewed(patient.conn, name, patient.clock)]
    if hung:
        return failed("leases", f"held and not renewed for minutes: {listed(hung)}", "that process hangs or is stopped: end it")
    return passed("leases", f"{len(rows)} held")


def open_intents(patient: Patient) -> Finding:
    """What was sent and never answered, and jobs that do not end."""
    old = to_us(patient.now - LONG_OPEN)
    rows = patient.conn.execute(
        "SELECT sync, count(*), count(job), min(written_at) FROM intents"
        " WHERE settled_at IS NULL AND written_at < ? GROUP BY sync",
        (old,),
    ).fetchall()
    told = [
        f"{sync}: {n} since {_spell(from_us(at))}" + (f", {jobs} of them jobs" if jobs else "") for sync, n, jobs, at in rows
    ]
    if told:
        return warned(
            "intents", f"open for more than a day: {listed(told)}", "see why that sync does not run: `tagalong status`"
        )
    return passed("intents")


def dead_letters(patient: Patient) -> Finding:
    """What was given up on."""
    total, given_up = patient.conn.execute(
        "SELECT count(*), count(given_up_at) FROM dead_letters WHERE dropped_at IS NULL"
    ).fetchone()
    if given_up:
        return warned("dead letters", f"{given_up} given up, of {total}", "`tagalong dead-letters` says why")
    return passed("dead letters", f"{total}, all to be tried again" if total else "none")


def held(patient: Patient) -> Finding:
    """What waits for a person."""
    found = holds.holds(patient.conn)
    if not found:
        return passed("held", "nothing")
    oldest = from_us(min(one.since for one in found))
    targets = list(dict.fromkeys(one.target for one in found))
    told = f"{listed(targets)}, the longest since {_spell(oldest)}"
    return warned("held", told, "`tagalong status` says why and what to approve")


def alerts(patient: Patient) -> Finding:
    """Whether what was to be told arrived."""
    waiting, given_up = patient.conn.execute(
        "SELECT count(*) FILTER (WHERE given_up_at IS NULL), count(given_up_at) FROM alert_outbox WHERE sent_at IS NULL"
    ).fetchone()
    away = [name for (name,) in patient.conn.execute("SELECT alert FROM alert_endpoints ORDER BY alert")]
    if away or given_up:
        told = f"{waiting} undelivered, {given_up} given up" + (f"; away: {listed(away)}" if away else "")
        return warned("alerts", told, "`tagalong alerts` says why; `tagalong alerts test` tries again")
    return passed("alerts", f"{waiting} to be delivered" if waiting else "")


def person_key(patient: Patient) -> Finding:
    """Whether it can still be told who must not come back: without the key nothing is pulled."""
    path = key_path(patient.database)
    try:
        key = open_key(patient.conn, patient.database)
    except PersonKeyError as error:
        return failed(
            "person key", str(error), "look where the keys and tokens are kept; `tagalong forget --lost-key` gives it up"
        )
    if key is None and path.exists():
        told = f"{path} is there, and the store knows of nobody who was forgotten, as a copy of before does: they may come back"
        return warned(
            "person key", told, "put the newer file back; `tagalong backup --restore` of a copy carries the list over"
        )
    return passed("person key", "nobody was forgotten" if key is None else str(path))


def forgettings(patient: Patient) -> Finding:
    """Whether somebody who was to be forgotten is not yet: what was interrupted waits for the same command."""
    number, oldest = patient.conn.execute(
        "SELECT count(*), min(begun_at) FROM forgettings WHERE state IN ('begun', 'swept')"
    ).fetchone()
    if number:
        told = f"{number} not ended, the longest since {_spell(from_us(oldest))}"
        return warned(
            "forgettings", told, "give the same `tagalong forget WHO` again, or with --by-hand for who cannot be asked"
        )
    return passed("forgettings")


def daemon(patient: Patient) -> Finding:
    """Whether it runs by the config that is there."""
    state = running_config(patient.conn)
    if state is None or not leases.is_held(patient.conn, "daemon", patient.clock):
        return passed("daemon", "not running")
    if state.refused_at is not None:
        told = (
            f"the config was refused at {_spell(state.refused_at)}: {state.refusal}; that of {_spell(state.loaded_at)} goes on"
        )
        return warned("daemon", told, "mend the file: it is read again as soon as it changes")
    return passed("daemon", f"running, with the config of {_spell(state.loaded_at)}")


def _spell(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}Z"
