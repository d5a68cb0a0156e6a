"""Bad input: one clear message, the right exit code, no traceback, and nothing asked of anybody."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace import CONFIG, Type

import core.hub
from core.errors import StoreError

READS_CONFIG = (
    "check", "pull", "fields", "person x", "segments", "explain x y", "plan", "sync", "run", "status", "runs", "dead-letters",
    "approve regions", "pause --all", "resume --all", "retire", "rebind exports --yes",
)  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every connection that was opened."""
    opened: list[str] = []

    def open_(self: core.hub.Hub, connection: str) -> None:
        opened.append(connection)
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(core.hub.Hub, "open", open_)
    return opened


@pytest.mark.parametrize("words", READS_CONFIG)
def test_a_wrong_config_is_told_before_anything(type_: Type, tmp_path: Path, asked: list[str], words: str) -> None:
    """By every command: file, line, key, nearest name; exit 2."""
    (tmp_path / "tagalong.toml").write_text(CONFIG + "[segments.x]\nwhere = 'country == \"SE\"'\ntitel = 'X'\n")

    said = type_(*words.split())

    line = (CONFIG + "..").count("\n") + 3
    assert (2, "") == (said.code, said.out)
    assert f"tagalong.toml:{line}: segments.x.titel: unknown key\n  did you mean title?\n" == said.err
    assert [] == asked
    assert not (tmp_path / "tagalong.db").exists()


@pytest.mark.parametrize("words", ["check", "pull", "segments", "plan", "sync", "run", "status"])
def test_a_wrong_expression_is_shown_with_a_caret(type_: Type, tmp_path: Path, asked: list[str], words: str) -> None:
    """Under the column; exit 2, and nothing was asked."""
    (tmp_path / "tagalong.toml").write_text(CONFIG + "[segments.x]\nwhere = 'coutry == \"SE\"'\n")

    said = type_(*words.split())

    line = (CONFIG + "..").count("\n") + 2
    assert 2 == said.code
    assert f"tagalong.toml:{line}: segments.x.where: " in said.err
    assert '    coutry == "SE"\n    ^\n  did you mean country?\n' in said.err
    assert [] == asked


USAGE = {
    "no such command": ("stauts", "there is no command 'stauts'; did you mean status?"),
    "no such sync": ("plan region", "there is no sync 'region'; did you mean regions?"),
    "no such connection": ("pull export", "there is no connection 'export'; did you mean exports?"),
    "no such segment": ("segments nordc", "there is no segment or partition 'nordc'; did you mean nordic?"),
    "no such group": ("segments region.nordc", "the partition region has no group 'nordc'; did you mean nordic?"),
    "members of a partition": ("segments region --members", "--members takes the name of one segment"),
    "no target": ("pause", "name a sync or a connection, or say --all"),
    "no such target": ("pause expots", "there is no sync or connection 'expots'; did you mean exports?"),
    "nothing held of that name": ("approve region", "there is no sync 'region'; did you mean regions?"),
    "no such stream": ("approve expots.acounts", "there is no stream 'expots.acounts'; did you mean exports.accounts?"),
    "a group to approve": ("approve regions.nordic", "is let through whole: `tagalong approve regions`"),
    "nothing retired": ("retire regionz", "there is no retired sync 'regionz'; nothing is retired"),
    "a yes to nothing": ("retire regions --yes", "--yes goes with --remove or --forget"),
    "no such sync to compare": ("drift region", "there is no sync 'region'; did you mean regions?"),
    "no such connection to start anew": ("rebind expots", "there is no connection 'expots'; did you mean exports?"),
    "no such connection of dead letters": ("dead-letters retry --connection expots", "; did you mean exports?"),
    "no such recipe": ("recipes np", "there is no recipe 'np'; did you mean nps?"),
    "contradiction": ("sync --no-pull --full", "contradict each other"),
    "duration": ("sync --fresh soon", "'soon' is no duration"),
    "limit": ("sync --limit 0", "0 is not in the range"),
    "time": ("plan --as-of soon", "'soon' is no time"),
    "the future": ("plan --as-of 2999-01-01", "--as-of lies ahead"),
    "as-of of a sync": ("sync --as-of 2026-01-01", "No such option"),
    "runs of nothing": ("runs crm", "there is no connection or sync 'crm'"),
    "a config that is not there": ("--config nope.toml status", "nope.toml: there is no such file"),
}


@pytest.mark.parametrize(("words", "message"), USAGE.values(), ids=USAGE.keys())
def test_bad_usage_is_two(type_: Type, words: str, message: str) -> None:
    """With the nearest name, in either form of answer."""
    said = type_(*words.split())
    as_json = type_("--json", *words.split())

    assert (2, "") == (said.code, said.out)
    assert message in said.err
    assert 2 == as_json.code
    assert as_json.json["ok"] is False
    told = [f"{error.get('file')}: {error['message']}" for error in as_json.json["errors"]]
    assert any(message in line for line in told)


WHO = "person WHO|explain nordic WHO|export-person WHO|unmerge u1 WHO|forget --dry-run WHO|suppress WHO|sync regions --only WHO"
ELSE = "pull WHO|backup WHO|suppress u1@example.com --reason WHO|status --config WHO|WHO"


@pytest.mark.parametrize("words", [*WHO.split("|"), *ELSE.split("|")])
def test_what_is_not_utf8_is_refused_by_every_command(type_: Type, tmp_path: Path, words: str) -> None:
    """The shell hands it over as it was typed in another encoding; no fault of ours, and no file of that name."""
    given = [word.replace("WHO", "Andr\udce9") for word in words.split()]
    said = type_(*given)
    assert (2, "") == (said.code, said.out)
    assert said.err.startswith("'Andr?' is not UTF-8 text")
    assert "Andr?" in type_(*given, "--json").json["errors"][0]["message"]
    assert {"data", "tagalong.toml"} == {path.name for path in tmp_path.iterdir()}


def test_what_fails_is_one_and_shows_no_traceback(type_: Type, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of ours with its message; an unforeseen one without, for its text may hold anything. -vv shows where."""

    def full(*_: object, **__: object) -> None:
        raise StoreError("t.db: the disk is full; nothing of this step was written")

    def bug(*_: object, **__: object) -> None:
        raise KeyError("ann@example.com")

    monkeypatch.setattr("core.store.runs.runs", full)
    assert (1, "", "t.db: the disk is full; nothing of this step was written\n") == type_("runs")
    monkeypatch.setattr("core.store.runs.runs", bug)
    said = type_("runs")
    assert (1, "") == (said.code, said.out)
    assert said.err.startswith("unexpected KeyError\n")
    assert "ann@example.com" not in said.err
    assert "Traceback" in type_("runs", "-vv").err


def test_a_refused_secret_is_not_shown(type_: Type, tmp_path: Path) -> None:
    """Not even to the one who mistyped it."""
    text = "[connections.mail]\nconnector = 'mailchimp'\nlist_id = 'a6b5da1054'\napi_key = 'canary7f3a'\n"
    (tmp_path / "tagalong.toml").write_text(CONFIG + text)

    for words in (["check"], ["check", "--json"], ["check", "-v"]):
        said = type_(*words)
        assert 2 == said.code
        assert "canary7f3a" not in said.out + said.err


def test_a_missing_secret_names_the_variable(type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the connection is opened; the others are tested all the same."""
    monkeypatch.delenv("HUBSPOT_TOKEN", raising=False)
    text = "[connections.crm]\nconnector = 'hubspot'\ntoken = { env = 'HUBSPOT_TOKEN' }\n"
    (tmp_path / "tagalong.toml").write_text(CONFIG + text)

    said = type_("check", "--json")

    steps = {one["name"]: one["steps"] for one in said.json["connections"]}
    assert 1 == said.code
    assert ["failed"] == [step["result"] for step in steps["crm"]]
    assert "connections.crm.token: the environment variable HUBSPOT_TOKEN is not set" in steps["crm"][0]["detail"]
    assert "failed" not in [step["result"] for step in steps["exports"]]


@pytest.mark.parametrize(
    ("command", "table"),
    [("segments", "segments"), ("plan", "syncs"), ("sync", "syncs"), ("drift", "syncs"), ("pull", "connections"),
     ("status", "connections"), ("check", "connections")],
)  # fmt: skip
def test_a_config_that_init_wrote_is_not_answered_by_silence(type_: Type, tmp_path: Path, command: str, table: str) -> None:
    """A blank line and exit 0 leave open whether it worked; with --json there is the object and nothing else."""
    (tmp_path / "tagalong.toml").unlink()
    assert 0 == type_("init").code

    said = type_(command)

    assert (0, True) == (said.code, f"There is no [{table}] in tagalong.toml" in said.err)
    assert "There is no" not in type_(command, "--json").err
