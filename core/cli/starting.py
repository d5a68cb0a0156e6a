"""
The config that `tagalong init` writes: what holds for everybody, and of each connector the few lines that it starts with.

A connector has those lines in its `start.toml`, as they would stand in a config; here they are commented out. One without is
left out, for `tagalong connectors` lists it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from core.contract import Category
from core.registry import connector_names, load_connector

TEMPLATE: Final = Path(__file__).with_name("starting_config.toml")
CONNECTIONS: Final = "# {connections}\n"
"""The line of the template that stands for the connectors' own."""


def starting_config() -> str:
    """Return a config that loads as it stands, and says by its comments what to put in."""
    connections = "\n".join(_commented(text) for text in _starts())
    return TEMPLATE.read_text(encoding="utf-8").replace(CONNECTIONS, connections)


def _starts() -> Iterator[str]:
    """Yield each connector's start, in the order in which tools are mostly connected."""
    connectors = [load_connector(name) for name in connector_names()]
    order = list(Category)
    for connector in sorted(connectors, key=lambda one: order.index(one.manifest.category)):
        start = Path(connector.module.__file__ or "").with_name("start.toml")
        if start.is_file():
            yield start.read_text(encoding="utf-8")


def _commented(text: str) -> str:
    return "".join(f"# {line}".rstrip(" ") if line.strip() else "\n" for line in text.strip().splitlines(keepends=True)) + "\n"
