"""
The config that `tagalong init` writes: what holds for everybody, and of each connector the few lines that it starts with.

A connector has those lines in its `start.toml`, as they would stand in a config; here they are commented out. Of those that
come with Tagalong only the usual ones are offered, of installed ones all: `tagalong connectors NAME` has the others' lines.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import connectors
from core.contract import Category
from core.registry import Connector, connector_names, load_connector

TEMPLATE: Final = Path(__file__).with_name("starting_config.toml")
CONNECTIONS: Final = "# {connections}\n"
"""The line of the template that stands for the connectors' own."""


def starting_config() -> str:
    """Return a config that loads as it stands, and says by its comments what to put in."""
    found = [load_connector(name) for name in connector_names()]
    order = list(Category)
    offered = sorted((one for one in found if _offered(one)), key=lambda one: order.index(one.manifest.category))
    starts = "\n".join(_commented(text) for text in map(start_of, offered) if text)
    return TEMPLATE.read_text(encoding="utf-8").replace(CONNECTIONS, starts)


def start_of(connector: Connector) -> str:
    """Return the lines with which a config of *connector* begins; "" where its author gives none."""
    path = Path(connector.module.__file__ or "").with_name("start.toml")
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def _offered(connector: Connector) -> bool:
    shipped = connector.module.__name__ == f"{connectors.__name__}.{connector.name}"
    return connector.name in connectors.FIRST or not shipped


def _commented(text: str) -> str:
    return "".join(f"# {line}".rstrip(" ") if line.strip() else "\n" for line in text.strip().splitlines(keepends=True)) + "\n"
