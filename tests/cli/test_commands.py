"""Each command against a small workspace of files: what it answers, in which shape, with which exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from workspace import ACCOUNTS, CONFIG, USAGE, Said, Type

from core.cli.output import as_json, cell, clean
from core.clock import utc_now
from core.config.load import load_config
from core.store import leases

DOCKERFILE = Path(__file__).parents[2] / "docs/deploy/Dockerfile"


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_init_writes_a_config_that_only_its_owner_reads(type_: Type, tmp_path: Path) -> None:
    """It loads as it is; what is commented out loads too; and one that is there is never written over."""
    said = type_("init", "--config", "new.toml")
    path = tmp_path / "new.toml"
    again = type_("init", "--config", "new.toml")

    assert (0, 0o600) == (said.code, stat.S_IMODE(path.stat().st_mode))
    assert {} == load_config(path, {}).connections
    assert 2 == again.code
    live = [line.removeprefix("# ") if line.startswith(("# [", "# ")) and _is_toml(line) else line for line in lines(path)]
    path.write_text("\n".join(live))
    assert ["crm", "billing", "mail", "exports"] == list(load_config(path, {}).connections)


def _is_toml(line: str) -> bool:
    return line.startswith("# [") or (" = " in line and line.split(" = ")[0].removeprefix("# ").isidentifier())


def test_the_config_is_found(type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """--config before the command or after it, else TAGALONG_CONFIG, else ./tagalong.toml."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "tagalong.toml").rename(tmp_path / "elsewhere/own.toml")

    assert 2 == type_("status").code
    assert 0 == type_("status", "--config", "elsewhere/own.toml").code
    assert 0 == type_("--config", "elsewhere/own.toml", "status").code
    monkeypatch.setenv("TAGALONG_CONFIG", "elsewhere/own.toml")
    assert 0 == type_("status").code
    assert (tmp_path / "elsewhere/tagalong.db").exists()


def test_a_setting_from_the_environment(type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It wins over the file for every command."""
    monkeypatch.setenv("TAGALONG_WORKSPACE__DATABASE", "other.db")
    type_("pull")

    assert (tmp_path / "other.db").exists()


def test_init_prints_the_schema(type_: Type) -> None:
    """As a JSON document, for an editor."""
    assert "https://json-schema.org/draft/2020-12/schema" == type_("init", "--schema").json["$schema"]


def test_connectors_are_listed_with_their_tier(type_: Type) -> None:
    """And what they pull and push."""
    found = {one["name"]: one for one in type_("connectors", "--json").json["connectors"]}

    assert ["file"] == found["files"]["pushes"]
    assert {"files", "hubspot", "mailchimp", "stripe"} <= set(found)
    assert all(one["tier"] in ("none", "bronze", "silver", "gold", "platinum") for one in found.values())


def test_a_connector_is_described_with_the_lines_to_put_into_a_config(type_: Type, tmp_path: Path) -> None:
    """Credentials, scopes, limits; and the lines load as they stand."""
    said = type_("connectors", "hubspot")
    config = tmp_path / "pasted.toml"
    config.write_text(said.out.partition("To put into the config")[2])

    assert 0 == said.code
    assert "crm.lists.write" in said.out
    assert "100 in 10 s" in said.out
    assert 0 == type_("connectors", "--config", str(config)).code
    assert ["hubspot"] == [one.connector for one in load_config(config, {}).connections.values()]


def test_an_unknown_connector_is_a_mistake_of_typing(type_: Type) -> None:
    """The nearest one is named."""
    said = type_("connectors", "mailchip")

    assert 2 == said.code
    assert "did you mean mailchimp?" in said.err


def test_check_goes_through_every_step(type_: Type, tmp_path: Path) -> None:
    """A folder that is not there is a failed step with what to do, and exit 1."""
    assert 0 == type_("check").code
    (tmp_path / "data/accounts.csv").unlink()

    said = type_("check", "--json")
    assert (1, False) == (said.code, said.json["ok"])
    assert "failed" in [step["result"] for step in said.json["connections"][0]["steps"]]


def test_check_warns_of_a_secret_that_others_can_read(type_: Type, tmp_path: Path) -> None:
    """Written out, in a file with mode 0644."""
    text = "[connections.mail]\nconnector = 'mailchimp'\nenabled = false\nlist_id = 'a6b5da1054'\napi_key = 'canary-us19'\n"
    (tmp_path / "tagalong.toml").write_text(CONFIG + text)
    (tmp_path / "tagalong.toml").chmod(0o644)

    said = type_("check")
    assert "warning: tagalong.toml: connections.mail.api_key is written out and others may read the file" in said.err
    assert "canary" not in said.err + said.out


def test_the_whole_line(type_: Type, tmp_path: Path) -> None:
    """Pull, look, plan, a careful first sync, the whole one, and one that has nothing to do."""
    assert 0 == type_("pull").code
    plan = type_("plan", "--json").json
    assert [("nordic_to_exports", 3), ("regions.nordic", 3), ("regions.elsewhere", 1)] == [
        (one["label"], one["adds"]) for one in plan["plans"]
    ]
    assert {"exports"} == {one["connection"] for one in plan["sources"]}
    assert not (tmp_path / "out").exists() or [] == list((tmp_path / "out").iterdir())

    assert 0 == type_("sync", "nordic_to_exports", "--limit", "2").code
    assert 3 == len(lines(tmp_path / "out/Nordic people.csv"))
    assert 0 == type_("sync").code
    assert 4 == len(lines(tmp_path / "out/Nordic people.csv"))
    third = type_("sync", "--json").json
    assert [0, 0, 0] == [plan["adds"] + plan["removes"] for one in third["syncs"] for plan in one["plans"]]
    assert (True, "done") == (third["ok"], third["status"])


def test_plan_lists_members(type_: Type) -> None:
    """Who would be sent, by store id and key."""
    type_("pull")
    (plan,) = type_("plan", "nordic_to_exports", "--members", "--json").json["plans"]

    assert {("add", "ann@example.com", "u1"), ("add", "bo@example.com", "u2"), ("add", "cia@example.com", "u3")} == {
        (member["op"], member["email"], member["user_id"]) for member in plan["members"]
    }
    assert "cia@example.com" in type_("plan", "nordic_to_exports", "--members").out


def test_segments_in_json(type_: Type) -> None:
    """The shape that programs rest on."""
    type_("sync")
    said = type_("segments", "--json")

    found = said.json
    as_of = found.pop("as_of")
    assert as_of.endswith("Z")
    assert {
        "ok": True,
        "segments": [
            {"name": "nordic", "title": "Nordic people", "of": 4, "size": 3, "entered": 3, "left": 0, "approximate": []},
            {"name": "pricing", "title": "Pricing", "of": 4, "size": 1, "entered": 1, "left": 0, "approximate": []},
        ],
        "partitions": [
            {
                "name": "region",
                "groups": [{"name": "nordic", "size": 3}, {"name": "elsewhere", "size": 1}],
                "of": 4,
                "covered": 4,
            }
        ],
        "failed": {},
        "warnings": {},
    } == found
    assert 1 == said.out.count("\n")


def test_members_in_json(type_: Type) -> None:
    """One object, whatever their number; a group of a partition by PARTITION.GROUP."""
    type_("pull")
    found = type_("segments", "pricing", "--members", "--json").json
    elsewhere = type_("segments", "region.elsewhere", "--members", "--json").json

    assert {"ok", "as_of", "members"} == set(found)
    assert [{"profile_id": 1, "identifiers": {"email": ["ann@example.com"], "user_id": ["u1"]}}] == found["members"]
    assert [["dan@example.com"]] == [member["identifiers"]["email"] for member in elsewhere["members"]]


def test_segments_as_they_were(type_: Type) -> None:
    """Events answer from history."""
    type_("pull")
    sizes = {s["name"]: s["size"] for s in type_("segments", "--as-of", "2026-01-20T11:30:00", "--json").json["segments"]}

    assert 0 == sizes["pricing"]  # half past eleven in Stockholm is before the second view


def test_fields_and_person(type_: Type) -> None:
    """What can be spoken of, and one person."""
    type_("pull")
    words = type_("fields", "--json").json
    found = {word["name"]: word for word in words["fields"]}
    assert {"country", "company.name", "exports.accounts.account_name", '"Page Viewed" path'} <= found.keys()
    assert ("event", 0.5) == (found['did("Page Viewed")']["kind"], found['did("Page Viewed")']["coverage"])
    assert (1.0, ["NO", "SE", "FI"]) == (
        found["country"]["coverage"],
        sorted(found["country"]["samples"], key="NO SE FI".index),
    )
    assert {"exports.accounts.country", "country", "company.country"} == {
        word["name"] for word in type_("fields", "COUNTRY", "--json").json["fields"]
    }

    (person,) = type_("person", "ANN@example.com", "--json").json["people"]
    assert ("SE", "Ann AB") == (person["fields"]["country"], person["company"]["name"])
    assert "ann@example.com" in type_("person", "u1").out
    assert 1 == type_("person", "nobody@example.com").code


def test_a_person_as_of_an_earlier_moment(type_: Type, tmp_path: Path) -> None:
    """Fields and segments as they were; what speaks of today is said to."""
    type_("pull")
    between = datetime.now(UTC).isoformat()
    (tmp_path / "data/accounts.csv").write_text(ACCOUNTS.replace("Sweden", "US"))
    type_("pull")
    type_("sync")

    now, then = type_("person", "u1", "--json").json, type_("person", "u1", "--as-of", between, "--json").json
    assert [("US", False), ("SE", True)] == [
        (one["fields"]["country"], "segment.nordic" in one["segments"]) for said in (now, then) for one in said["people"]
    ]
    assert between.replace("+00:00", "Z") == then["as_of"]
    text = type_("person", "u1", "--as-of", between).out
    assert "partition.region.nordic, segment.nordic" in text
    assert "answered as of today: identifiers, links, records, rows, audiences" in text
    assert "exports.accounts u1  key" in text
    assert 2 == type_("person", "u1", "--as-of", "2999-01-01").code


def test_unreadable_records_are_news(type_: Type, tmp_path: Path) -> None:
    """The rest goes on; exit 3, and dead-letters says why."""
    (tmp_path / "data/usage.csv").write_text(USAGE + "4,u2,not a time,Page Viewed,/home\n")

    assert 3 == type_("pull").code
    (letter,) = type_("dead-letters", "--json").json["dead_letters"]
    assert ("record", "exports", "usage") == (letter["what"], letter["connection"], letter["stream"])
    assert 3 == type_("status", "--check").code
    assert letter["reason"] in type_("dead-letters", "exports").out


def test_what_was_unreadable_before_is_told_and_no_news(type_: Type, tmp_path: Path) -> None:
    """A row that nobody will ever mend makes no job fail each night; another one beside it does, once."""
    usage = tmp_path / "data/usage.csv"
    usage.write_text(USAGE + "4,u2,not a time,Page Viewed,/home\n")
    assert 3 == type_("pull").code

    again = type_("pull", "--full", "--json")
    assert (0, (1, 1)) == (again.code, _bad(again))
    assert "bad before" in type_("pull", "--full").out
    assert 0 == type_("sync", "--full").code

    usage.write_text(usage.read_text() + "5,u2,nor this,Page Viewed,/home\n")
    assert (3, (2, 1)) == ((ran := type_("pull", "--json")).code, _bad(ran))


def _bad(ran: Said) -> tuple[int, int]:
    """Return how many events were unreadable, and how many of them before."""
    (usage,) = (one for pull in ran.json["pulls"] for one in pull["streams"] if one["name"] == "usage")
    return usage["bad"], usage["known_bad"]


def test_what_is_held_is_four_until_it_is_approved(type_: Type, tmp_path: Path) -> None:
    """Half of a source is gone: nothing is sent, the list is as it was, and approve frees it."""
    many = ACCOUNTS + "".join(f"m{n},m{n}@example.com,SE,M {n}\n" for n in range(60))
    (tmp_path / "data/accounts.csv").write_text(many)
    assert 0 == type_("sync").code
    (tmp_path / "data/accounts.csv").write_text(ACCOUNTS)

    held = type_("sync", "--json")
    assert (4, True, "held") == (held.code, held.json["ok"], held.json["status"])
    assert 64 == len(lines(tmp_path / "out/Nordic people.csv"))
    assert 4 == type_("plan").code
    assert 4 == type_("status", "--check").code
    assert "tagalong approve exports.accounts" in type_("plan").out

    assert 0 == type_("approve", "exports.accounts").code
    assert 4 == type_("sync", "nordic_to_exports", "--no-pull").code
    approved = type_("approve", "nordic_to_exports", "--json")
    assert (0, 60) == (approved.code, approved.json["removes"])
    assert 4 == len(lines(tmp_path / "out/Nordic people.csv"))


def test_a_source_that_fails_is_one(type_: Type, tmp_path: Path) -> None:
    """Failed comes before held."""
    type_("sync")
    (tmp_path / "data/usage.csv").unlink()

    said = type_("sync", "--json")
    assert (1, False, "failed") == (said.code, said.json["ok"], said.json["status"])
    assert 1 == type_("status", "--check").code


def test_a_probe_asks_only_whether_the_daemon_lives(type_: Type, tmp_path: Path) -> None:
    """As the Dockerfile does: a dead letter and a config half edited leave it healthy; one that hangs is not."""
    (probe,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", DOCKERFILE.read_text(encoding="utf-8"), re.MULTILINE)
    program, *words = json.loads(probe)
    assert ("tagalong", 1) == (program, type_(*words).code)
    (tmp_path / "data/usage.csv").write_text(USAGE + "4,u2,not a time,Page Viewed,/home\n")
    type_("pull")
    assert 1 == type_(*words).code
    assert not (tmp_path / "elsewhere.db").exists()

    database, now = tmp_path / "tagalong.db", utc_now()
    with leases.hold(database, "daemon", lambda: now):
        assert (3, 0) == (type_("status", "--check").code, type_(*words).code)
        assert {"ok": True, "daemon": True} == type_(*words, "--json").json
        (tmp_path / "tagalong.toml").write_text(CONFIG + "[segments.half]\nwere = 'count'\n")
        assert (2, 0) == (type_("status").code, type_(*words).code)
        (tmp_path / "tagalong.toml").write_text(CONFIG + "[segments.half\n")
        said = type_("status")
        assert (2, 0) == (said.code, type_(*words).code)
        now -= timedelta(seconds=400)  # what renews it renews it for then
        with sqlite3.connect(database) as conn:
            conn.execute("UPDATE leases SET renewed_at = renewed_at - 400000000")
        conn.close()
        assert 1 == type_(*words).code
    assert 1 == type_(*words).code
    assert 2 == type_("status", "--check", "--daemon").code


def test_what_somebody_else_is_at_is_three(type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing failed, and what was asked for was not done: a script must be able to tell."""
    type_("sync")
    monkeypatch.setattr("core.pulling.fill.PULL_WAIT_S", 0.5)
    with leases.hold(tmp_path / "tagalong.db", "connection.exports", utc_now):
        said = type_("sync", "regions")
        assert (3, 3) == (said.code, type_("pull").code)
    assert "is read half: connection.exports: process" in said.out
    assert 0 == type_("sync", "regions").code


def test_pause_and_resume(type_: Type) -> None:
    """A paused sync does not run; status shows it; everything at once by --all."""
    type_("pull")
    assert {"ok": True, "paused": "sync.regions"} == type_("pause", "regions", "--json").json
    said = type_("sync", "regions", "--json").json
    assert ["stopped"] == [one["status"] for one in said["syncs"]]
    assert [True] == [one["paused"] for one in type_("status", "--json").json["syncs"] if one["name"] == "regions"]

    assert {"ok": True, "resumed": "sync.regions", "was_paused": True} == type_("resume", "regions", "--json").json
    assert {"ok": True, "resumed": "all", "was_paused": False} == type_("resume", "--all", "--json").json


def test_retire_lists_what_no_sync_fills(type_: Type, tmp_path: Path) -> None:
    """A sync taken out of the config leaves its members, and is shown."""
    type_("sync")
    assert [] == type_("retire", "--json").json["retired"]
    (tmp_path / "tagalong.toml").write_text(CONFIG[: CONFIG.index('[[syncs]]\nname = "regions"')])

    retired = type_("retire", "--json").json["retired"]
    assert {("region_nordic", 3), ("region_elsewhere", 1)} == {(one["name"], one["ours"]) for one in retired}
    assert "retired: 3 of ours stay in the file 'region_nordic' at exports" in type_("status").out


def test_rebind_drops_what_a_connection_brought(type_: Type) -> None:
    """After asking."""
    type_("pull")
    assert 1 == type_("rebind", "exports", stdin="n\n").code
    assert 4 == type_("segments", "--json").json["segments"][0]["of"]
    assert {"ok": True, "rebound": "exports"} == type_("rebind", "exports", "--yes", "--json").json
    status = type_("status", "--json").json
    assert [0, 0] == [stream["records"] for stream in status["connections"][0]["streams"]]
    assert (None, None) == (status["connections"][0]["status"], status["connections"][0]["run_at"])
    assert "never pulled" in type_("status").out
    assert {0} == {one["of"] for one in type_("segments", "--json").json["segments"]}
    type_("pull")
    assert "done" == type_("status", "--json").json["connections"][0]["status"]


def test_what_is_not_enabled_does_nothing_even_by_name(type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad usage that says what to do."""
    type_("pull")
    monkeypatch.setenv("TAGALONG_CONNECTIONS__EXPORTS__ENABLED", "false")
    name = type_("status", "--json").json["syncs"][0]["name"]
    before = sorted(tmp_path.rglob("*.csv"))
    for words in (["sync", name], ["plan", name], ["pull", "exports"]):
        said = type_(*words)
        assert 2 == said.code, words
        assert "exports is not enabled" in said.err
    assert before == sorted(tmp_path.rglob("*.csv"))


def test_status_and_runs_in_json(type_: Type) -> None:
    """The keys that programs rest on."""
    type_("sync")
    status, runs = type_("status", "--json").json, type_("runs", "--limit", "2", "--json").json

    listed = {"paused", "connections", "syncs", "holds", "dead_letters", "retired"}
    assert {"ok", "as_of", "daemon", "daemon_config", *listed} == set(status)
    assert [("nordic_to_exports", "done", 3)] == [
        (one["name"], one["status"], one["audiences"][0]["ours"]) for one in status["syncs"][:1]
    ]
    assert {"ok", "runs"} == set(runs)
    assert ["regions", "nordic_to_exports"] == [run["name"] for run in runs["runs"]]
    assert {"id", "kind", "name", "trigger", "started_at", "finished_at", "status", "took_s", "requests"} <= set(
        runs["runs"][0]
    )


def test_a_terminal_never_sees_what_could_move_it() -> None:
    """Control characters and turns of direction go; in JSON they are escaped and nothing is lost."""
    wicked = "Ann\x1b[2J\x07\x9b31m\u202eBob\r\n"

    assert "Ann[2J31mBob\n" == clean(wicked)
    assert "Ann[2J31mBob" == cell(wicked)
    assert "Street 1; Bergen" == cell("Street 1\n  Bergen")
    shown = as_json({"name": wicked})
    assert wicked == json.loads(shown)["name"]
    assert not {"\x1b", "\x07", "\x9b", "\u202e"} & set(shown)


def test_vendor_text_is_cleaned_in_tables(type_: Type, tmp_path: Path) -> None:
    """Wherever it comes from."""
    (tmp_path / "data/accounts.csv").write_text(ACCOUNTS + "u9,eve@example.com,SE,Evil \x1b]0;title\x07 AB\n")
    type_("pull")

    assert "Evil ]0;title AB" in type_("person", "u9").out
    assert "\x1b" not in type_("person", "u9").out + type_("fields").out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_daemon_runs_until_it_is_told_to_stop(type_: Type, tmp_path: Path, number: int) -> None:
    """A pull and the syncs that follow it, then a clean end; a second daemon on the store is refused."""
    (tmp_path / "tagalong.toml").write_text(CONFIG.replace('folder = "out"', 'folder = "out"\nschedule = "1h"'))
    command = [sys.executable, "-c", "from core.cli import main; main()", "run"]
    daemon = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ.copy())
    try:
        until = time.monotonic() + 120
        while _finished(tmp_path / "tagalong.db") < {"exports", "nordic_to_exports", "regions"}:
            assert time.monotonic() < until
            time.sleep(0.1)
        assert type_("status", "--json").json["daemon"] is True
        assert 1 == type_("run").code
        daemon.send_signal(number)
        _, err = daemon.communicate(timeout=120)
    finally:
        daemon.kill()
        daemon.communicate()

    assert 0 == daemon.returncode
    events = [json.loads(line)["event"] for line in err.decode().splitlines()]
    assert ("daemon_started", "daemon_stopped") == (events[0], events[-1])
    units = [(line["event"], line.get("connection") or line.get("sync")) for line in map(json.loads, err.decode().splitlines())]
    assert {("pull_ended", "exports"), ("sync_ended", "nordic_to_exports"), ("sync_ended", "regions")} <= set(units)
    assert 1 == units.count(("pull_ended", "exports"))
    assert 4 == len(lines(tmp_path / "out/Nordic people.csv"))


def _finished(path: Path) -> set[str]:
    if not path.exists():
        return set()
    conn = sqlite3.connect(path)
    try:
        return {row[0] for row in conn.execute("SELECT name FROM runs WHERE status = 'done' AND kind IN ('pull', 'sync')")}
    except sqlite3.OperationalError:
        return set()
    finally:
        conn.close()
