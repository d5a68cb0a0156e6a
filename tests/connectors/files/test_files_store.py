"""Files through the core's pull and resolve: what vanishes, what doubles, who is linked, what a bad file leaves standing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from files_rows import ACCOUNTS, USAGE, write
from support.connected import Connected

from core.pulling.pull_report import PullReport

HEADER = "account_id,owner_email,country,account_name"
SUBSCRIPTIONS = {
    "path": "data/subs.csv",
    "kind": "subscription",
    "key": "subscription_id",
    "identifiers": {"subscription_id": "subscription_id", "user_id": "account_id"},
    "fields": {"plan": "plan", "mrr": "mrr", "status": "status", "started_at": "start"},
}


class Exports(Connected):
    """A files connection over a store."""

    def __init__(self, api: Any, store: Any, clock: Any, settings: dict[str, Any]) -> None:
        super().__init__(store, clock, "files", settings, name="exports")
        self.api = api

    def pull(self) -> PullReport:
        report = super().pull(self.api)
        self.resolve()
        return report

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self.store.conn.execute(sql).fetchall()]


@pytest.fixture
def exports(fake_api: Callable[..., Any], store: Any, clock: Any) -> Callable[..., Exports]:
    """`exports(accounts=SPEC, ...)`."""

    def make(**streams: dict[str, Any]) -> Exports:
        settings = {"streams": streams}
        return Exports(fake_api("files", settings, connection="exports"), store, clock, settings)

    return make


def accounts(*names: str) -> str:
    return "\n".join([HEADER, *(f"{name},{name}@example.com,Sverige,Shop {name}" for name in names)]) + "\n"


LIVE = "SELECT key FROM exports__accounts WHERE deleted_at IS NULL ORDER BY key"


def test_pull_twice_changes_nothing(exports: Any, tmp_path: Path) -> None:
    """An unchanged file is complete, counts as seen, and costs no row."""
    write(tmp_path, "data/accounts.csv", accounts("a1", "a2"))
    it = exports(accounts=ACCOUNTS)
    (first,), (second,) = it.pull().streams, it.pull().streams

    assert (2, 2, True) == (first.records, first.changed, first.complete)
    assert (0, 0, True, 0) == (second.records, second.changed, second.complete, second.deleted)
    assert [("a1",), ("a2",)] == it.rows(LIVE)
    assert [("a1@example.com", "SE")] * 1 == it.rows("SELECT email, country FROM profiles WHERE user_id = 'a1'")


def test_a_changed_file_replaces_what_it_had(exports: Any, tmp_path: Path) -> None:
    """New rows come, changed ones change, and those that it no longer has are gone."""
    write(tmp_path, "data/accounts.csv", accounts("a1", "a2", "a3"))
    it = exports(accounts=ACCOUNTS)
    it.pull()
    write(tmp_path, "data/accounts.csv", accounts("a2", "a4"))
    (report,) = it.pull().streams

    assert [("a2",), ("a4",)] == it.rows(LIVE)
    assert (1, 2) == (report.changed, report.deleted)


def test_a_removed_file_of_several_removes_its_rows(exports: Any, tmp_path: Path) -> None:
    """A slice that is gone has vanished; the others, unchanged, are untouched."""
    for name in ("a1", "a2"):
        write(tmp_path, f"data/{name}.csv", accounts(name))
    it = exports(accounts={**ACCOUNTS, "path": "data/*.csv"})
    it.pull()
    (tmp_path / "data/a1.csv").unlink()
    it.pull()

    assert [("a2",)] == it.rows(LIVE)


def test_a_key_in_two_files_is_gone_when_neither_has_it(exports: Any, tmp_path: Path) -> None:
    """The other file did not change, and is read again for the values that are its own."""
    write(tmp_path, "data/a.csv", f"{HEADER}\na1,a1@example.com,Norge,Shop\n")
    write(tmp_path, "data/b.csv", accounts("a1", "b1"))
    it = exports(accounts={**ACCOUNTS, "path": "data/*.csv"})
    country = "SELECT country FROM profiles WHERE user_id = 'a1' AND live = 1"
    it.pull()
    assert [("SE",)] == it.rows(country)
    write(tmp_path, "data/b.csv", accounts("b1"))
    assert 0 == it.pull().streams[0].deleted
    assert [("NO",)] == it.rows(country)
    write(tmp_path, "data/a.csv", accounts("a2"))
    assert 1 == it.pull().streams[0].deleted
    assert [] == it.rows(country)


def test_an_amount_without_currency_is_the_workspace_s(exports: Any, tmp_path: Path) -> None:
    """Scaled by its minor unit: yen have none; a workspace that changes its currency has its files read again."""
    write(tmp_path, "data/subs.csv", "subscription_id,account_id,plan,mrr,status,start\ns1,a1,Pro,1000,active,2026-01-01\n")
    it = exports(subs=SUBSCRIPTIONS)
    worth = "SELECT mrr, currency FROM subscriptions"
    for currency, minor in (("JPY", 1000), ("KWD", 1000000), ("EUR", 100000)):
        it.config = replace(it.config, workspace=replace(it.config.workspace, currency=currency))
        it.register()
        it.pull()
        assert [(minor, None)] == it.rows(worth)


def test_no_file_at_all_fails_and_deletes_nothing(exports: Any, tmp_path: Path) -> None:
    """An export that did not come."""
    path = write(tmp_path, "data/accounts.csv", accounts("a1"))
    it = exports(accounts=ACCOUNTS)
    it.pull()
    path.unlink()
    (report,) = it.pull().streams

    assert (False, True) == (report.complete, "no file matches" in str(report.error))
    assert [("a1",)] == it.rows(LIVE)


def test_a_stream_that_fails_does_not_stop_the_others(exports: Any, tmp_path: Path) -> None:
    """Each stream ends for itself."""
    write(tmp_path, "data/accounts.csv", accounts("a1"))
    report = exports(usage=USAGE, accounts=ACCOUNTS).pull()

    assert {"usage": False, "accounts": True} == {stream.stream: stream.complete for stream in report.streams}


def test_bad_rows_are_kept_with_their_reason(exports: Any, tmp_path: Path) -> None:
    """Counted, in the dead letters with file and line, and the rest goes on."""
    write(tmp_path, "data/accounts.csv", accounts("a1") + "a2,too,few\n")
    it = exports(accounts=ACCOUNTS)
    (report,) = it.pull().streams

    assert (1, 1, True) == (report.records - report.bad, report.bad, report.complete) or (1, True) == (
        report.bad,
        report.complete,
    )
    assert [("data/accounts.csv:3", "has 3 cells where the header has 4")] == it.rows("SELECT key, reason FROM dead_letters")
    assert [("a1",)] == it.rows(LIVE)


def test_a_row_that_turned_bad_takes_nobody_out(exports: Any, tmp_path: Path) -> None:
    """A typo in a cell, or a comma too many: the account was there yesterday, and is today."""
    specs = {**ACCOUNTS, "types": {"country": "integer"}}
    write(tmp_path, "data/accounts.csv", accounts("a1", "a2", "a3").replace("Sverige", "46"))
    it = exports(accounts=specs)
    it.pull()
    good = accounts("a1", "a2").replace("Sverige", "46")
    write(tmp_path, "data/accounts.csv", good.replace("a2,a2@example.com,46", "a2,a2@example.com,soon"))
    (report,) = it.pull().streams
    assert (1, 1) == (report.bad, report.deleted), "a3 is gone indeed"
    assert [("a1",), ("a2",)] == it.rows(LIVE)

    write(tmp_path, "data/accounts.csv", good.replace("a2,a2", "a2,,a2"))
    (report,) = it.pull().streams
    assert (1, 0, 1) == (report.bad, report.deleted, len(report.notes))
    assert [("a1",), ("a2",)] == it.rows(LIVE)
    write(tmp_path, "data/accounts.csv", accounts("a1").replace("Sverige", "46"))
    it.pull()
    assert [("a1",)] == it.rows(LIVE)


def test_nothing_doubles_when_a_key_comes_twice(exports: Any, tmp_path: Path) -> None:
    """The last row of a key counts."""
    write(tmp_path, "data/accounts.csv", f"{HEADER}\na1,old@example.com,SE,x\na1,new@example.com,SE,x\n")
    it = exports(accounts=ACCOUNTS)
    it.pull()

    assert [("a1", "new@example.com")] == it.rows("SELECT key, owner_email FROM exports__accounts")


def test_usage_reaches_the_person_through_the_subscription(exports: Any, tmp_path: Path) -> None:
    """The issue's example: an event names a subscription, the subscription's row links it to an account, that to an address."""
    write(tmp_path, "data/accounts.csv", accounts("a1", "a2"))
    write(
        tmp_path,
        "data/subs.csv",
        "subscription_id,account_id,plan,mrr,status,start\ns1,a1,pro,19.99,active,2026-01-01\ns2,a2,basic,5,canceled,2026-01-01\n",
    )
    write(
        tmp_path,
        "data/usage.csv",
        "usage_id,subscription_id,usage_date,feature_name,count\nu1,s1,2026-01-05,search,4\nu2,s2,2026-01-06,export,1\n",
    )
    it = exports(accounts=ACCOUNTS, subs=SUBSCRIPTIONS, usage=USAGE)
    report = it.pull()

    assert report.complete, [str(stream.error) for stream in report.streams]
    assert [("a1@example.com", "search", '{"count":4}'), ("a2@example.com", "export", '{"count":1}')] == it.rows(
        "SELECT p.email, n.name, e.properties FROM events e JOIN event_names n ON n.id = e.name_id "
        "JOIN profiles p ON p.id = e.profile_id ORDER BY e.key"
    )
    assert [("a1@example.com", "pro", 1999, None), ("a2@example.com", "basic", 500, None)] == it.rows(
        "SELECT p.email, s.plan, s.mrr, s.currency FROM subscriptions s JOIN profiles p ON p.id = s.profile_id ORDER BY s.key"
    )
    again = it.pull()
    assert [0, 0, 0] == [stream.changed for stream in again.streams]


def test_an_event_file_that_shrinks_deletes_no_event(exports: Any, tmp_path: Path) -> None:
    """Events never vanish: a rolling export holds only the last days."""
    head = "usage_id,subscription_id,usage_date,feature_name\n"
    write(tmp_path, "data/usage.csv", head + "u1,s1,2026-01-05,search\nu2,s1,2026-01-06,search\n")
    it = exports(usage=USAGE)
    it.pull()
    write(tmp_path, "data/usage.csv", head + "u2,s1,2026-01-06,search\nu3,s1,2026-01-07,search\n")
    it.pull()

    assert [("u1",), ("u2",), ("u3",)] == it.rows("SELECT key FROM events ORDER BY key")


def test_claims_join_nobody(exports: Any, tmp_path: Path) -> None:
    """Two people in one row of a form stay two; the form's address sets no e-mail."""
    write(tmp_path, "data/accounts.csv", accounts("a1", "a2"))
    write(tmp_path, "data/nps.csv", "id,user,mail,score\nr1,a1,a2@example.com,9\nr2,,zed@example.com,3\n")
    nps = {"path": "data/nps.csv", "kind": "answer", "key": "id", "trust": "claim",
           "identifiers": {"user_id": "user", "email": "mail"},
           "fields": {"number": "score"},
           "constants": {"survey": "NPS", "question": "q", "kind": "score"}}  # fmt: skip
    it = exports(accounts=ACCOUNTS, nps=nps)
    it.pull()

    assert [("a1@example.com", 9.0), (None, 3.0)] == it.rows(
        "SELECT p.email, a.number FROM answers a JOIN profiles p ON p.id = a.profile_id ORDER BY a.key"
    )


def test_a_changed_table_of_the_config_is_seen(exports: Any, tmp_path: Path) -> None:
    """The file is as it was; what its columns mean is not."""
    write(tmp_path, "data/accounts.csv", accounts("a1"))
    exports(accounts=ACCOUNTS).pull()
    it = exports(accounts={**ACCOUNTS, "fields": {"lifecycle_stage": "country"}})
    it.pull()

    assert [("Sverige",)] == it.rows("SELECT lifecycle_stage FROM profiles")
