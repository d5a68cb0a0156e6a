"""`tagalong alerts`, and alerts of commands that cron runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.receiver import Receiver, receiver
from workspace import CONFIG, Type

ALERT = '[alerts.team]\nkind = "slack"\nurl = {{ env = "SLACK" }}\nwhen = "{when}"\n'


@pytest.fixture
def slack(type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    """A team that is told by commands too."""
    (tmp_path / "tagalong.toml").write_text(CONFIG + ALERT.format(when="always"))
    with receiver() as to:
        monkeypatch.setenv("SLACK", to.url)
        yield to


def break_source(folder: Path) -> None:
    (folder / "data/accounts.csv").unlink()


def test_a_sync_that_cron_runs_tells_of_a_failure_once_and_of_its_end(type_: Type, slack: Receiver, tmp_path: Path) -> None:
    """The exit code is the sync's own."""
    assert 0 == type_("sync").code
    before = (tmp_path / "data/accounts.csv").read_text()
    break_source(tmp_path)
    assert [1, 1, 1] == [type_("sync").code for _ in range(3)]
    assert 1 == len(slack.got)
    assert slack.texts()[0].startswith("The connection exports has failed\n")
    (tmp_path / "data/accounts.csv").write_text(before)
    assert 0 == type_("pull").code
    assert "Well again: the connection exports" == slack.texts()[1].splitlines()[0]


def test_an_endpoint_that_is_down_fails_no_sync(type_: Type, slack: Receiver, tmp_path: Path) -> None:
    """What could not be delivered is shown, and goes out with a later command."""
    type_("sync")
    before = (tmp_path / "data/accounts.csv").read_text()
    break_source(tmp_path)
    slack.status = 500
    assert 1 == type_("sync").code
    shown = type_("alerts", "--json").json["alerts"][0]
    assert [("connection.exports", "failed")] == [(one["subject"], one["state"]) for one in shown["open"]]
    assert [("begun", 1)] == [(one["message"]["what"], one["tries"]) for one in shown["undelivered"]]
    assert "failed at the vendor" in shown["undelivered"][0]["reason"]
    assert "undelivered: begun connection.exports failed" in type_("alerts").out
    assert "CANARY" not in type_("alerts").out + type_("alerts", "--json").out
    (tmp_path / "data/accounts.csv").write_text(before)
    type_("pull")
    assert "undelivered: over connection.exports failed: waits for the one before it\n" in type_("alerts").out


def test_a_daemons_alert_is_silent_in_a_command(type_: Type, slack: Receiver, tmp_path: Path) -> None:
    """The daemon tells it when it looks."""
    (tmp_path / "tagalong.toml").write_text(CONFIG + ALERT.format(when="daemon"))
    break_source(tmp_path)
    type_("sync")
    assert [] == slack.got


def test_a_test_message_says_whether_it_arrived(type_: Type, slack: Receiver) -> None:
    """By name or to all."""
    said = type_("alerts", "test", "team")
    assert (0, "team: it arrived\n") == (said.code, said.out)
    assert slack.texts()[0].startswith("Tagalong: a test")
    slack.status = 404
    assert (1, False) == (type_("alerts", "test").code, type_("alerts", "test", "--json").json["tests"][0]["arrived"])
    assert 2 == type_("alerts", "test", "nobody").code


def test_a_test_of_what_is_not_enabled_sends_nothing_and_says_so(type_: Type, slack: Receiver, tmp_path: Path) -> None:
    (tmp_path / "tagalong.toml").write_text(CONFIG + ALERT.format(when="always") + "enabled = false\n")
    said = type_("alerts", "test", "team")
    assert ("", "team is not enabled, and nothing was sent to it\n", []) == (said.out, said.err, slack.got)


def test_without_alerts_it_says_how(type_: Type) -> None:
    """And is no error."""
    assert "[alerts.NAME]" in type_("alerts").out
    assert "[alerts.NAME]" in type_("alerts", "test").out
    assert {"ok": True, "alerts": []} == type_("alerts", "--json").json


def test_check_looks_whether_the_secrets_are_there(type_: Type, slack: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """And sends nothing."""
    assert [("team", "passed")] == [(one["name"], one["steps"][0]["result"]) for one in type_("check", "--json").json["alerts"]]
    monkeypatch.delenv("SLACK")
    said = type_("check")
    assert (1, True) == (said.code, "SLACK is not set" in said.out)
    assert [] == slack.got


def test_too_many_unreadable_records_are_told_and_so_is_their_end(type_: Type, slack: Receiver, tmp_path: Path) -> None:
    """The rest was read; the command's own exit code says so."""
    good = (tmp_path / "data/accounts.csv").read_text()
    (tmp_path / "data/accounts.csv").write_text(good + "".join(f",x{n}@example.com,SE,X\n" for n in range(30)))
    assert 3 == type_("pull").code
    (text,) = slack.texts()
    assert "The connection exports had too many refused\n30 of " in text
    assert "What to do: tagalong dead-letters exports" in text
    assert "x1@example.com" not in text
    (tmp_path / "data/accounts.csv").write_text(good)
    assert 0 == type_("pull").code
    assert "It had too many refused since" in slack.texts()[1]
