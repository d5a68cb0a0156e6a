"""Tables into a config file: where they land, and that nothing else moves."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.config.load import load_config
from core.recipes.fill import RecipeError, fill
from core.recipes.model import load_recipe, recipe_names
from core.recipes.needs import EVERYTHING
from core.recipes.write import Edit, edit, write
from core.segments.definitions import define

NEW: dict[str, Any] = {"segments": {"new": {"title": "It's new", "where": 'did("A")'}}}


def edited(path: Path, text: str, tables: dict[str, Any] = NEW) -> Edit:
    path.write_bytes(text.encode())
    return edit(path, tables, ["why"])


def test_a_table_lands_after_the_last_of_its_kind_and_above_the_next_heading(tmp_path: Path) -> None:
    text = """\
# mine
[segments.old] # here
where = '''
paying
# not a comment'''

# ---- syncs
[[syncs]]
segment = "old"  # that one
"""
    made = edited(tmp_path / "t.toml", text)

    assert (
        text.replace(
            "# ---- syncs",
            '# why\n[segments.new]\ntitle = "It\'s new"\nwhere = \'did("A")\'\n\n# ---- syncs',
        )
        == made.text
    )
    assert made.added == ("segments.new",)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment",
        '[workspace]\ntimezone = "UTC"',
        'segments.old.where = "paying"\n[workspace]\n',
        'segments = { old = { where = "paying" } } # in braces\n[workspace]\n',
        '[segments]\nold = { where = "paying" }\n[workspace]\n',
        "[segments.old]\nwhere = '''\npaying\n# and'''\n[workspace]\n",
        '[workspace]\n[[syncs]]\nsegment = "x"\n[segments.x]\nwhere = "paying"\n[connections.a]\n',
        "[segments.a]\nwhere = '''paying\n\n#'''\n\n\n\n# end",
    ],
)
def test_any_way_of_writing_tables_takes_another(tmp_path: Path, text: str) -> None:
    """The old values are there as they were, and the new ones beside them."""
    made = edited(tmp_path / "t.toml", text)

    old = tomllib.loads(text)
    assert {**old, "segments": {**old.get("segments", {}), **NEW["segments"]}} == tomllib.loads(made.text)
    assert [line for line in text.splitlines() if "#" in line and line.split("#")[1] not in made.text] == []


def test_line_ends_and_a_byte_order_mark_stay(tmp_path: Path) -> None:
    made = edited(tmp_path / "t.toml", "\ufeff[workspace]\r\n# é\r\n")

    assert made.after.startswith("\ufeff[workspace]\r\n# é\r\n".encode())
    assert made.after.count(b"\r\n") == made.after.count(b"\n")


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    values=st.dictionaries(
        st.sampled_from(["workspace", "segments", "partitions", "syncs", "connections"]),
        st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("xy"), st.text() | st.integers())),
    ),
    where=st.text(),
)
def test_whatever_stands_there_stays_and_whatever_is_added_is_read_back(
    tmp_path: Path, values: dict[str, Any], where: str
) -> None:
    """The old lines in their order, the old values, and the new expression character for character."""
    text = tomlkit.dumps(values)
    made = edited(tmp_path / "t.toml", text, {"segments": {"new": {"where": where}}})

    assert {**values, "segments": {**values.get("segments", {}), "new": {"where": where}}} == tomllib.loads(made.text)
    lines = iter(made.text.splitlines())
    assert [line for line in text.splitlines() if line not in lines] == []


def test_a_file_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    made = edited(path, "[workspace]\n")
    path.write_text("[workspace]\n# saved by an editor\n")

    with pytest.raises(RecipeError, match="changed meanwhile"):
        write(made)
    assert "[workspace]\n# saved by an editor\n" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_a_link_stays_a_link_and_the_mode_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "real.toml", tmp_path / "t.toml"
    real.write_text("[workspace]\n")
    real.chmod(0o640)
    link.symlink_to(real)

    write(edit(link, NEW, []))

    assert link.is_symlink()
    assert "[segments.new]" in real.read_text()
    assert 0o640 == real.stat().st_mode & 0o777


def test_a_write_that_fails_leaves_no_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.toml"
    made = edited(path, "[workspace]\n")

    def broken(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="No space"):
        write(made)
    assert "[workspace]\n" == path.read_text()
    assert [path] == list(tmp_path.iterdir())


def test_all_recipes_stand_in_one_config(tmp_path: Path) -> None:
    """One after another: no two of them share a name, and every expression is read."""
    path = tmp_path / "t.toml"
    path.write_text("[workspace]\n# mine\n")
    for recipe in map(load_recipe, recipe_names()):
        write(edit(path, fill(recipe, {}), [recipe.why]))

    text = path.read_text()
    sets = define(load_config(path, {}), EVERYTHING).sets

    tables = [load_recipe(name).tables for name in recipe_names()]
    named = [f"{kind[:-1]}.{name}" for one in tables for kind in ("segments", "partitions") for name in one.get(kind, {})]
    assert set(named) == {".".join(name.split(".")[:2]) for name in sets}
    assert len(named) == len(set(named))
    assert all(f"# {load_recipe(name).why}" in text for name in recipe_names())
