"""Events and profiles through the core's pull and resolve: late, repeated, erased, merged; broken pulls continued."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from mixpanel_rows import SETTINGS, event, users
from support.connected import Connected

from core.contract import Fault
from core.errors import RejectedError
from core.pulling.pull_report import StreamReport
from core.sandbox import Reset


@pytest.fixture
def pull(store: Any, clock: Any) -> Callable[..., dict[str, StreamReport]]:
    """`pull(api, hours=24)`: pull and resolve once, so many hours after the last; the streams' reports by name."""
    mine = Connected(store, clock, "mixpanel", SETTINGS, name="mp")

    def once(api: Any, hours: float = 24, *, full: bool = False) -> dict[str, StreamReport]:
        mine.register()
        clock.advance(timedelta(hours=hours))
        report = mine.pull(api, full=full)
        mine.resolve()
        return {one.stream: one for one in report.streams}

    return once


def _events(store: Any) -> list[tuple[str, str | None]]:
    """The stored events' `$insert_id` and the user id that each names, in order."""
    named = (
        "SELECT l.subject_id, i.value FROM subject_identifiers l JOIN identifiers i ON i.id = l.identifier_id"
        " WHERE i.kind = 'user_id'"
    )
    who = dict(store.conn.execute(named).fetchall())
    rows = store.conn.execute("SELECT json_extract(properties, '$.\"$insert_id\"'), subject_id FROM events")
    return sorted((insert_id, who.get(subject_id)) for insert_id, subject_id in rows)


def _names(store: Any) -> list[str]:
    return [row[0] for row in _events(store)]


def test_a_pull_again_changes_nothing(make_project: Any, pull: Any, store: Any) -> None:
    """Days that are read again fall on the same rows, repeats and all; one export each."""
    api = make_project(twice_every=2)
    api.sandbox.load("events", [event(n, n / 3) for n in range(60)])
    first, second = pull(api, 0)["events"], pull(api)["events"]

    assert (60, 60, 0, 0) == (first.changed, len(_events(store)), second.changed, second.deleted)
    assert second.records > 0


def test_an_event_that_comes_twice_is_one(make_project: Any, pull: Any, store: Any) -> None:
    """Quirk 5: the export does not take repeats out, in a page or in two."""
    api = make_project({"start": "2026-02-20"}, twice_every=1)
    api.sandbox.load("events", [event(n, 1 + n % 9) for n in range(700)])
    report = pull(api, 0)["events"]

    assert (1400, 2) == (report.records, report.pages)
    assert sorted(str(n) for n in range(700)) == _names(store)


def test_the_copy_processed_last_stays(make_project: Any, pull: Any, store: Any) -> None:
    """Quirk 5: whichever order they come in; the sandbox sends those taken in a minute earlier last."""
    api = make_project({"start": "2026-02-20"}, twice_every=1)
    api.sandbox.load("events", [event(n, 1) for n in range(700)])
    pull(api, 0)
    (taken,) = store.conn.execute("SELECT DISTINCT json_extract(properties, '$.mp_processing_time_ms') FROM events").fetchall()
    assert int(event(1, 1)["at"].timestamp() * 1000) == taken[0]


def test_an_event_that_was_erased_goes_with_the_next_sweep(project: Any, pull: Any, store: Any) -> None:
    """Quirk 3: of the days read again; what is older stays."""
    project.sandbox.load("events", [event(n, n) for n in range(28)])
    pull(project, 0)
    project.sandbox.delete("events", ["4", "25"])
    report = pull(project)["events"]

    assert 1 == report.deleted
    assert {"4"} == {str(n) for n in range(28)} - set(_names(store))


def test_an_empty_answer_deletes_nothing(project: Any, pull: Any, store: Any) -> None:
    """Quirk 3: a wrong residency answers so, too."""
    project.sandbox.load("events", [event(n, n) for n in range(28)])
    pull(project, 0)
    project.sandbox.delete("events", [str(n) for n in range(28)])
    report = pull(project)["events"]

    assert (0, 0, True) == (report.deleted, report.held, report.complete)
    assert 28 == len(_events(store))


def test_a_broken_answer_and_then_an_empty_one_deletes_nothing(make_project: Any, pull: Any, store: Any) -> None:
    """Quirk 3: the pages of the broken one began to replace; the empty one must not end that."""
    api = make_project({"start": "2026-02-20"})
    rows = [event(n, 1 + n % 9) for n in range(1500)]
    api.sandbox.load("events", rows)
    pull(api, 0)
    api.sandbox.break_off = (1200, b'{"error":"terminated early"}\n')
    assert 1000 == pull(api)["events"].records
    api.sandbox.break_off = None
    api.sandbox.delete("events", [row["id"] for row in rows])
    report = pull(api, 1)["events"]

    assert (False, 0, 0) == (report.complete, report.deleted, report.held)
    api.sandbox.load("events", rows)
    assert (True, 0, 0) == ((whole := pull(api, 1)["events"]).complete, whole.deleted, whole.held)
    assert 1500 == len(_events(store))


def test_a_midnight_misjudged_deletes_nothing(make_project: Any, pull: Any, store: Any) -> None:
    """Quirk 3: the project's days begin an hour before those of the settings; what is in between is not gone."""
    api = make_project({"days": "utc", "times": None}, old_project=True, wall_clock=False)
    api.sandbox.load("events", [event(n, n / 4 + 0.01) for n in range(100)])
    pull(api, 0)
    reports = [pull(api)["events"] for _ in range(3)]

    assert [0, 0, 0] == [report.deleted + report.held for report in reports]
    assert 100 == len(_events(store))


def test_events_before_a_sign_in_become_the_persons(project: Any, pull: Any, store: Any) -> None:
    """Quirk 7: of the days read again; once, for their key stays. Those before come with a full pull."""
    rows = [event(n, days, user_id=None, device_id="1f0c") for n, days in enumerate((2, 5, 20))]
    project.sandbox.load("events", rows)
    pull(project, 0)
    assert [("0", None), ("1", None), ("2", None)] == _events(store)
    project.sandbox.merge("users", "$device:1f0c", "42")
    report = pull(project)["events"]
    assert (2, 0) == (report.changed, report.deleted)
    assert [("0", "42"), ("1", "42"), ("2", None)] == _events(store)
    pull(project, full=True)
    assert [("0", "42"), ("1", "42"), ("2", "42")] == _events(store)


@pytest.mark.parametrize("how", ["marker", "hang up"])
def test_a_window_that_breaks_off_is_read_again_whole(make_project: Any, pull: Any, store: Any, how: str) -> None:
    """Quirk 8: what came is stored, the cursor stays, and the next pull loses nothing and brings nothing twice."""
    project = make_project({"start": "2026-02-20"})
    project.sandbox.load("events", [event(n, 1 + n % 9) for n in range(3000)])
    if how == "marker":
        project.sandbox.break_off = (1500, b'{"error":"terminated early"}\n')
    else:
        project.served.faults = lambda _method, path, _number: Reset(sent=300_000) if "export" in path else None
    broken = pull(project, 0)
    project.sandbox.break_off = project.served.faults = None

    assert not broken["events"].complete
    assert broken["profiles"].complete
    assert 0 < broken["events"].records < 3000
    whole = pull(project, 1)["events"]
    assert (True, 0, 0) == (whole.complete, whole.deleted, whole.held)
    assert sorted(str(n) for n in range(3000)) == _names(store)


def test_a_broken_year_goes_on_with_its_window(make_project: Any, pull: Any, store: Any) -> None:
    """The windows before are not asked for again: the hour's requests are few. What came meanwhile is, once."""
    api = make_project({"start": "2025-03-03"})
    api.sandbox.load("events", [event(n, n) for n in range(365)])
    api.served.faults = lambda _method, _path, number: Fault(404, {}, b"{}") if number == 3 else None
    assert not pull(api, 0)["events"].complete
    api.served.faults = None
    api.recorder.seen.clear()
    assert pull(api, 1)["events"].complete

    assert ["2025-05-12", "2025-12-22", "2026-03-02"] == [q["from_date"] for q, _ in api.recorder.of("GET /api/2.0/export")]
    assert 365 == len(_events(store))


def test_a_quick_pull_and_a_sweep_take_one_export_each(project: Any, pull: Any) -> None:
    """Quirk 1: of the sixty of an hour; with an hourly schedule twenty-four a day."""
    project.sandbox.load("events", [event(n, n) for n in range(28)])
    pull(project, 0)
    for hours in (1, 1, 24):
        before = project.sandbox.requests["GET /api/2.0/export"]
        assert pull(project, hours)["events"].complete
        assert 1 == project.sandbox.requests["GET /api/2.0/export"] - before


def test_a_plan_without_profiles_keeps_the_events(make_project: Any, pull: Any, store: Any) -> None:
    """Quirk 13: a 402 ends its stream alone and says what to leave out."""
    api = make_project(has_engage=False)
    api.sandbox.load("events", [event(1)])
    reports = pull(api, 0)

    assert isinstance(reports["profiles"].error, RejectedError)
    assert "streams" in str(reports["profiles"].error)
    assert (True, ["1"]) == (reports["events"].complete, _names(store))


def test_a_deleted_profile_is_gone_after_a_full_pull(project: Any, pull: Any, store: Any) -> None:
    """Quirk 11: an hour later nobody can tell; once a day everybody is asked for."""
    project.sandbox.load("users", users("1", "2", "3"))
    pull(project, 0)
    project.sandbox.delete("users", ["2"])
    assert 0 == pull(project, 1)["profiles"].deleted
    assert 1 == pull(project, 24)["profiles"].deleted
    live = "SELECT group_concat(distinct_id) FROM mp__profiles WHERE deleted_at IS NULL"
    assert "1,3" == store.conn.execute(live).fetchone()[0]


def test_a_session_that_ends_between_two_pulls_begins_anew(make_project: Any, pull: Any, store: Any) -> None:
    """Quirk 10: the token of the broken pull is refused once, and everybody comes."""
    api = make_project(page_size=10)
    api.sandbox.load("users", users(*(str(n) for n in range(25))))
    api.served.faults = lambda _method, _path, number: Fault(404, {}, b"{}") if number == 4 else None  # two are exports
    assert 10 == pull(api, 0)["profiles"].records
    api.served.faults = None
    api.sandbox.sessions.clear()
    report = pull(api, 1)["profiles"]

    assert (25, True, 0) == (report.records, report.complete, report.deleted)
    assert 25 == store.conn.execute("SELECT count(*) FROM mp__profiles").fetchone()[0]


def test_email_and_dollar_email_are_two_columns(make_project: Any, pull: Any, store: Any) -> None:
    """Quirk 12: nothing is cut off a name, and names that differ by `$` or case stay apart."""
    api = make_project({"profile_properties": ["email", "Email", "a.b c"]})
    extra = {"email": "typed@example.com", "Email": "other@example.com", "a.b c": 1}
    api.sandbox.load("users", users("1", extra=extra))
    assert pull(api, 0)["profiles"].complete
    columns = dict(store.conn.execute("SELECT field, column_name FROM catalogue"))
    chosen = ", ".join(f'"{columns[name]}"' for name in ("$email", "email", "Email", "a.b c"))
    row = tuple(store.conn.execute(f"SELECT {chosen} FROM mp__profiles").fetchone())

    assert ("u1@example.com", "typed@example.com", "other@example.com", 1) == row


def test_both_streams_are_claims(project: Any, pull: Any, store: Any) -> None:
    """A browser can send any distinct id: nobody is joined by it."""
    project.sandbox.load("users", users("1"))
    project.sandbox.load("events", [event(1, user_id="1")])
    pull(project, 0)
    assert {"claim"} == {row[0] for row in store.conn.execute("SELECT trust FROM streams")}
