"""`tagalong prune`, as it is typed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from workspace import CONFIG, Type

from core.clock import utc_now
from core.store import leases


def test_it_says_what_goes_and_lets_go_of_it(type_: Type, tmp_path: Path) -> None:
    for _ in range(3):
        type_("sync")
    with closing(sqlite3.connect(tmp_path / "tagalong.db")) as conn, conn:
        conn.execute("UPDATE runs SET started_at = started_at - 200 * 86400 * 1000000")
        conn.execute("UPDATE intents SET settled_at = settled_at - 200 * 86400 * 1000000")
    told = type_("prune", "--dry-run", "--json").json
    assert (True, ["runs"]) == (told["dry_run"], [one["what"] for one in told["pruned"]])
    runs = len(type_("runs", "--limit", "99", "--json").json["runs"])
    assert f"runs: {told['pruned'][0]['rows']} rows of before" in type_("prune", "--dry-run").out
    assert runs == len(type_("runs", "--limit", "99", "--json").json["runs"])

    gone = type_("prune", "--json").json["pruned"][0]["rows"]
    assert told["pruned"][0]["rows"] == gone > 2
    assert runs > len(type_("runs", "--limit", "99", "--json").json["runs"])
    assert "0 rows" in type_("prune").out
    assert 0 == type_("sync").code

    with leases.hold(tmp_path / "tagalong.db", "prune", utc_now):
        assert (1, "is at it" in type_("prune").err) == (type_("prune").code, True)
    (tmp_path / "tagalong.toml").write_text(CONFIG + '[workspace.retention]\nruns = "forever"\n')
    assert "Everything is kept for ever." in type_("prune").out
