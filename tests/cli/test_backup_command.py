"""`tagalong backup`, as it is typed."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from workspace import ACCOUNTS, Type

from core.clock import utc_now
from core.store import leases


def test_a_copy_is_made_and_what_is_not_in_it_is_said(type_: Type, tmp_path: Path) -> None:
    assert "no database yet" in type_("backup", "copy.db").err
    type_("sync")
    token = tmp_path / "tagalong.db.crm.token"
    token.write_text("{}")
    made = type_("backup", "copy.db", "--json")
    assert (0, True) == (made.code, made.json["ok"])
    assert (str(tmp_path / "copy.db"), (tmp_path / "copy.db").stat().st_size) == (made.json["path"], made.json["size"])
    assert [str(token), str(tmp_path / "tagalong.toml")] == made.json["not_in_it"]
    assert 1 == type_("backup", "copy.db").code, "it is there already"
    (tmp_path / "tagalong.toml").write_text('[workspace]\ntimezone = "Nowhere"\n')
    assert 2 == type_("backup", "nowhere/").code
    assert not (tmp_path / "nowhere").exists()
    text = type_("backup", "copy.db", "--force")
    assert 0 == text.code, "a config half edited does not matter"
    assert "tagalong.db.crm.token" in text.out


def test_a_copy_is_put_back_after_asking_and_not_under_a_daemon(type_: Type, tmp_path: Path) -> None:
    type_("sync")
    type_("backup", "copy.db")
    (tmp_path / "data/accounts.csv").write_text(ACCOUNTS.replace("Sweden", "US"))
    type_("sync")
    asked = type_("backup", "--restore", "copy.db", stdin="n\n")
    assert (1, True) == (asked.code, bool(re.search(r"Put copy.db, as of 20..-..-.. ..:..:..Z, in the place of", asked.err)))
    (tmp_path / "notes.db").write_text("no database")
    for file, why in (("nope.db", "there is no such file"), ("notes.db", "is damaged or not a database")):
        refused = type_("backup", "--restore", file, stdin="y\n")
        assert (1, True, False) == (refused.code, why in refused.err, "in the place of" in refused.err), "nobody is asked"
    assert not list(tmp_path.glob("*.replaced"))
    with leases.hold(tmp_path / "tagalong.db", "daemon", utc_now):
        assert "stop it first" in type_("backup", "--restore", "copy.db", "--yes").err

    done = type_("backup", "--restore", "copy.db", "--yes")
    assert (0, True) == (done.code, "tagalong approve SYNC" in done.out)
    assert 1 == len(list(tmp_path.glob("*.replaced")))
    held = type_("sync", "--json")
    assert (4, "held") == (held.code, held.json["status"])
    assert "put back from a copy" in type_("status").out
    assert 0 == type_("approve", "nordic_to_exports").code
    assert 4 == type_("sync").code, "each sync by itself"
    assert 0 == type_("approve", "regions").code
    assert 0 == type_("sync").code


def test_a_copy_brings_nobody_back_who_was_forgotten_since(type_: Type) -> None:
    """Without the sweep they would be in every table again, though no pull may bring them."""
    type_("sync")
    type_("backup", "copy.db")
    assert 0 == type_("forget", "ann@example.com", "--yes").code
    assert 1 == type_("person", "ann@example.com").code

    done = type_("backup", "--restore", "copy.db", "--yes", "--json")
    assert (0, 1) == (done.code, done.json["forgotten_again"])
    assert 1 == type_("person", "ann@example.com").code
    assert 0 == type_("person", "bo@example.com").code
    found = {one["check"]: one["grade"] for one in type_("doctor", "--deep", "--json").json["checks"]}
    assert ("passed", "passed") == (found["forgotten"], found["person key"])


def test_what_a_copy_put_back_by_hand_brings_back_is_found(type_: Type, tmp_path: Path) -> None:
    type_("sync")
    type_("forget", "ann@example.com", "--yes")
    with sqlite3.connect(tmp_path / "tagalong.db") as conn:
        conn.execute("UPDATE identifiers SET value = 'ann@example.com' WHERE kind = 'email' AND value = 'bo@example.com'")
    conn.close()
    found = {one["check"]: one for one in type_("doctor", "--deep", "--json").json["checks"]}
    assert ("failed", True) == (found["forgotten"]["grade"], "forget --again" in found["forgotten"]["remedy"])
    (tmp_path / "tagalong.db.person.key").unlink()
    found = {one["check"]: one for one in type_("doctor", "--json").json["checks"]}
    assert "failed" == found["person key"]["grade"]
