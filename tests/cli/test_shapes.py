"""What programs rest on: one JSON object a command, and the keys in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from workspace import USAGE, Type

PLAN = {
    "sync", "label", "set", "to", "audience", "mode", "wanted", "ours", "theirs", "adds", "creates", "updates", "removes",
    "moves", "adopts", "strangers", "skips", "delayed", "held", "held_adds", "held_removes", "limited", "requests", "seconds",
    "notes",
}  # fmt: skip
DOCUMENT = PLAN | {
    "asked", "quota", "flapping", "account", "remote_id", "definition", "settings", "sends", "before_us", "skipped", "withheld",
}  # fmt: skip
PULL = {"connection", "status", "run", "requests", "resume_at", "error", "streams"}
STREAM = {"name", "complete", "records", "changed", "pages", "deleted", "held", "bad", "known_bad", "took_s", "notes", "error"}
SYNC = {"name", "status", "run", "requests", "resume_at", "error", "plans"}
SEGMENT = {"name", "title", "of", "size", "entered", "left", "approximate"}
DRIFT = {
    "sync", "label", "to", "audience", "as_of", "there", "ours", "foreign", "missing", "missing_wanted", "extra",
    "extra_wanted",
    "unknown", "gone", "settling", "drifted", "repaired", "note", "error", "members",
}  # fmt: skip
REPORT = {"as_of", "status", "pulls", "syncs", "sets", "failed_sets"}
HOLD = {"target", "kind", "reason", "since", "adds", "removes", "approve", "facts"}

TOP = {
    "check": {"connections", "alerts", "warnings", "unchecked"},
    "connectors": {"connectors"},
    "pull": {"pulls"},
    "fields": {"fields"},
    "person u1": {"as_of", "people"},
    "export-person u1 --output ann.json": {"profile_id", "output", "rows"},
    "unmerge": {"unmerged"},
    "unmerge u1 u2 --yes": {"keep", "part", "were_one", "applied"},
    "unmerge u1 u2 --undo": {"keep", "part", "undone"},
    "segments": {"as_of", "segments", "partitions", "failed", "warnings"},
    "segments nordic": {"as_of", "segments", "partitions", "failed", "warnings", "detail"},
    "segments nordic --members": {"as_of", "members"},
    "segments region --moves": {"partition", "since", "until", "moves"},
    "explain nordic u1": {"as_of", "name", "people"},
    "plan": {"as_of", "plans", "sources", "format", "made_at", "store", "seal"},
    "plan --as-of 2026-01-31": {"as_of", "plans", "sources"},
    "sync": REPORT,
    "status": {"as_of", "daemon", "daemon_config", "paused", "connections", "syncs", "holds", "dead_letters", "retired"},
    "runs": {"runs"},
    "dead-letters": {"dead_letters"},
    "alerts": {"alerts"},
    "alerts test": {"tests"},
    "pause regions": {"paused"},
    "resume regions": {"resumed", "was_paused"},
    "retire": {"retired"},
    "rebind exports --yes": {"rebound"},
    "drift": {"audiences"},
    "drift regions --members": {"audiences"},
    "connect exports --forget": {"connection", "forgotten", "revoke"},
    "init --config new.toml": {"config"},
    "init --schema": {"schema"},
}
INNER = {
    "check": [("connections", {"name", "connector", "steps"})],
    "connectors": [
        ("connectors", {"name", "title", "category", "pulls", "pushes", "tier", "settings", "scopes", "limits",
          "start", "api_version", "checked_on", "docs_url"})
    ],
    "connectors mailchimp": [
        ("connector", {"name", "title", "category", "pulls", "pushes", "tier", "settings", "scopes", "limits",
          "start", "api_version", "checked_on", "docs_url"}),
        ("connector.settings", {"name", "required", "description"}),
    ],
    "pull": [("pulls", PULL), ("pulls.streams", STREAM)],
    "drift regions --members": [("audiences", DRIFT)],
    "fields": [("fields", {"name", "kind", "type", "sources", "coverage", "samples", "seen"})],
    "person u1": [
        ("people", {"profile_id", "live", "fields", "company", "identifiers", "links", "records", "rows", "events", "segments",
          "audiences", "joined", "approximate"}),
        ("people.links", {"stream", "record", "trust", "live", "identifiers"}),
        ("people.links.identifiers", {"kind", "value", "blocked", "apart"}),
    ],
    "segments": [
        ("segments", SEGMENT),
        ("partitions", {"name", "groups", "of", "covered"}),
        ("partitions.groups", {"name", "size"}),
    ],
    "segments nordic": [
        ("detail", {"name", "title", "where", "size", "funnel", "sample", "overlaps", "days", "rests_on", "unseen", "warnings",
          "changes"}),
        ("detail.overlaps", {"name", "size", "both", "share"}),
    ],
    "explain nordic u1": [
        ("people", {"profile_id", "identifiers", "group", "sets"}),
        ("people.sets", {"name", "member", "live", "known", "excluded", "next_change", "foreseen", "approximate", "tree"}),
    ],
    "segments nordic --members": [("members", {"profile_id", "identifiers"})],
    "plan": [("plans", DOCUMENT), ("sources", {"connection", "completed_at", "age_s"})],
    "sync": [("pulls", PULL), ("pulls.streams", STREAM), ("syncs", SYNC), ("syncs.plans", PLAN | {"verdicts"})],
    "status": [
        ("connections.streams", {"name", "records", "completed_at", "stale", "error", "held", "vanished"}),
        ("syncs", {"name", "segment", "partition", "to", "enabled", "paused", "status", "run_at", "due_at", "error",
          "audiences", "delayed", "flapping"}),
        ("syncs.audiences", {"connection", "kind", "name", "ours", "theirs", "on_their_way"}),
    ],
    "runs": [(
        "runs",
        {"id", "kind", "name", "trigger", "started_at", "finished_at", "status", "error", "took_s", "requests", "summary",
         "limited"},
    )],
    "dead-letters": [(
        "dead_letters",
        {"id", "what", "connection", "stream", "sync", "key", "op", "reason", "attempts", "first_at", "last_at", "next_try_at",
         "given_up_at"},
    )],
}  # fmt: skip


def inside(answer: object, path: str) -> list[dict[str, object]]:
    found = [answer]
    for name in path.split("."):
        found = [inner for one in found for inner in one[name]]
    return found


@pytest.mark.parametrize("words", TOP)
def test_each_command_answers_one_object(type_: Type, tmp_path: Path, words: str) -> None:
    """With `ok` first, in one line on stdout, and nothing else there."""
    (tmp_path / "data/usage.csv").write_text(USAGE + "4,u2,not a time,Page Viewed,/home\n")
    if words not in ("pull", "check"):
        type_("sync")

    said = type_(*words.split(), "--json")

    assert said.code in (0, 3)
    assert 1 == said.out.count("\n")
    assert "ok" == next(iter(said.json))
    assert {"ok", *TOP[words]} == set(said.json)
    for path, keys in INNER.get(words, ()):
        rows = inside(said.json, path)
        assert rows, path
        assert [] == [sorted(keys - row.keys()) for row in rows if not keys <= row.keys()], path


def test_approve_and_holds(type_: Type, tmp_path: Path) -> None:
    """What is held names its numbers, since when, and what lets it go on."""
    from workspace import ACCOUNTS

    (tmp_path / "data/accounts.csv").write_text(ACCOUNTS + "".join(f"m{n},m{n}@example.com,SE,M {n}\n" for n in range(60)))
    type_("sync")
    (tmp_path / "data/accounts.csv").write_text(ACCOUNTS)
    (held,) = type_("sync", "nordic_to_exports", "--json").json["syncs"][0]["plans"][0]["held"]

    assert {"kind", "reason", "holds", "facts", "approve"} == set(held)
    assert ("vanished", "both", "exports.accounts") == (held["kind"], held["holds"], held["approve"])
    (hold, *_) = [one for one in type_("status", "--json").json["holds"] if one["target"] == "nordic_to_exports"]
    assert set(hold) >= HOLD
    assert ["exports.accounts"] == hold["approve"]
    approved = type_("approve", "exports.accounts", "--json").json
    assert {"ok", "target", "adds", "removes", "deleted", "report"} == set(approved)
    assert (60, None) == (approved["deleted"], approved["report"])
    assert 4 == type_("sync", "nordic_to_exports", "--no-pull").code
    assert set(type_("approve", "nordic_to_exports", "--json").json["report"]) == REPORT
