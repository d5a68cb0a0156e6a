"""
The tables of ISO 3166 and 639 as pycountry ships them, without the objects that it makes of each row.

It makes 8,000 of which a hub asks for 400: 12 ms of every process that meets a country and a language, which is most of what a
small pull takes.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path


def countries() -> list[dict[str, str]]:
    """Return the countries: `alpha_2`, `alpha_3`, `name`, and other names where there are."""
    import orjson

    rows: list[dict[str, str]] = orjson.loads(_table("iso3166-1.json"))["3166-1"]
    return rows


def languages() -> Iterator[dict[str, str]]:
    """Yield the languages that have a code of two letters, as 184 of 7,900 do: `alpha_2`, `alpha_3`, `name`."""
    import orjson

    table, key = _table("iso639-3.json"), b'"alpha_2"'
    at = table.find(key)
    while at >= 0:
        end = table.index(b"}", at) + 1  # a row holds nothing but texts
        yield orjson.loads(table[table.rindex(b"{", 0, at) : end])
        at = table.find(key, end)


def _table(name: str) -> bytes:
    package = find_spec("pycountry")
    assert package is not None
    assert package.origin is not None
    return (Path(package.origin).parent / "databases" / name).read_bytes()
