"""Whatever happens to a store, in which order and however it ends: what was kept and brought up to date is right."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from livingworld import make_template
from mortal import Mortal, Tale

from core.store import Store

ROOT = Path(__file__).parents[2]
STEPS = 30
_READ = (
    "profiles|companies|profile_rows|company_rows|subscriptions|payments|answers|events|event_names|event_sources|subjects|"
    "field_history|catalogue|identifiers|profile_aliases|streams|connections"
)
_WRITES = re.compile(
    r"(INSERT( OR \w+)? INTO|UPDATE( OR \w+)?|DELETE FROM|DROP TABLE( IF EXISTS)?|ALTER TABLE) +\\?\"?"
    rf"(({_READ})\b|\{{)"
)
OTHERS = frozenset({"core/upkeep/backup.py", "core/segments/few.py", "core/store/alerts.py", "core/pushing/trait_values.py"})
"""They write tables of their own. Migrations count for nothing: after one of those all is evaluated whole."""


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store of all vendors, to be copied."""
    return make_template(tmp_path_factory.mktemp("mortal") / "template.db")


def live(template: Path, path: Path, seed: int) -> Tale:
    return Mortal(path / f"{seed}.db", seed, template).live(STEPS)


@pytest.mark.parametrize("seed", range(3))
def test_pulls_resolves_kills_and_a_config_that_changes_leave_no_leaf_behind(template: Path, tmp_path: Path, seed: int) -> None:
    """A full evaluation after each step says the same; `bench/kept.py` goes on for as long as one likes."""
    tale = live(template, tmp_path, seed)

    assert [] == tale.wrong, tale.steps
    assert "killed" in tale.steps
    assert tale.brought_up > 500


@pytest.mark.parametrize(("missing", "first"), [("changes_event", 0), ("changes_event_gone", 1), ("note_resolved", 3)])
def test_without_a_note_a_leaf_is_left_behind(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str, first: int
) -> None:
    """So the above would show it; *first* is a seed that did."""
    if missing == "note_resolved":
        monkeypatch.setattr("core.resolve.note_resolved", lambda conn: None)
    with Store(tmp_path / "template.db") as store, Store(template) as whole:
        whole.conn.backup(store.conn)
        if missing != "note_resolved":
            store.conn.execute(f"DROP TRIGGER {missing}")
        store.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    assert any(live(tmp_path / "template.db", tmp_path, seed).wrong for seed in range(first, first + 8))


def test_every_writer_of_what_leaves_read_is_in_the_decision() -> None:
    """Whoever comes to write there has to say by what it is noted; a table named by a variable may be one of them."""
    writers = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "core").rglob("*.py")
        if path.parent.name != "schema" and _WRITES.search(path.read_text("utf-8"))
    }
    told = (ROOT / "docs" / "decisions" / "0012-leaves-are-kept-and-brought-up-to-date.md").read_text("utf-8")

    assert {name for name in writers - OTHERS if f"`{name}`" not in told} == set()
    assert writers >= OTHERS
