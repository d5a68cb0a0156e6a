"""Where keys stand in a TOML text."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.config.locate import Path, find_lines

TEXT = '''# a comment = 1
[workspace]
database = "x.db"

[connections.crm]
token = { env = "A", "file" = 'b' }
"quoted.key" = 1
dotted . "and quoted".end = 2
streams = [
    "a",  # ] not the end
    "b",
]
text = """
[not.a.table]
key = "no"
two quotes at the end """""
after = 2026-01-01T00:00:00Z

[[syncs]]
to = "mail"
[[syncs]]
to = "crm"
guard = { adds = 5 }
[syncs.audience]
tag = \'\'\'
# no comment
it''s\'\'\'
[[syncs.deep]]
x = 1
[[syncs.deep]]
x = "\\u0041 \\" ]"
y = [{ a = 1 },
     { a = [[1], [2]] }]
"t\\u0061b" = 1
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("workspace",), 2),
        (("workspace", "database"), 3),
        (("connections",), 5),
        (("connections", "crm", "token", "env"), 6),
        (("connections", "crm", "token", "file"), 6),
        (("connections", "crm", "quoted.key"), 7),
        (("connections", "crm", "dotted", "and quoted", "end"), 8),
        (("connections", "crm", "streams", 1), 11),
        (("connections", "crm", "text"), 13),
        (("connections", "crm", "after"), 17),
        (("syncs",), 19),
        (("syncs", 0, "to"), 20),
        (("syncs", 1, "to"), 22),
        (("syncs", 1, "guard", "adds"), 23),
        (("syncs", 1, "audience"), 24),
        (("syncs", 1, "audience", "tag"), 25),
        (("syncs", 1, "deep", 0, "x"), 29),
        (("syncs", 1, "deep", 1, "x"), 31),
        (("syncs", 1, "deep", 1, "y", 1, "a"), 33),
        (("syncs", 1, "deep", 1, "tab"), 34),
    ],
)
def test_every_way_to_write_a_key_is_found(path: Path, line: int) -> None:
    """Each key is found on the line where a person would look."""
    assert line == find_lines(TEXT)[path]


def test_nothing_is_found_that_the_parser_does_not_see() -> None:
    """What looks like keys inside strings and comments is stepped over."""
    assert _paths(tomllib.loads(TEXT)) == set(find_lines(TEXT))


def _paths(value: Any, at: Path = ()) -> set[Path]:
    found = {at} if at else set()
    match value:
        case dict():
            return found.union(*(_paths(inner, (*at, key)) for key, inner in value.items()))
        case list():
            return found.union(*(_paths(inner, (*at, index)) for index, inner in enumerate(value)))
        case _:
            return found


VALUES = st.recursive(
    st.one_of(st.integers(-9, 9), st.booleans(), st.text("aé#'\"\\\n]=", max_size=6)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.\"' =#[", min_size=1, max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(["a", "b.c", "d e", "f"]), VALUES, max_size=4))
def test_any_document_that_tomlkit_writes(document: dict[str, Any]) -> None:
    """The walk sees exactly the paths that the parser sees, whatever the document."""
    import tomlkit

    text = tomlkit.dumps(document)
    assert _paths(tomllib.loads(text)) == set(find_lines(text))
