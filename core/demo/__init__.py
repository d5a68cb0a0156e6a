"""`tagalong demo`: everything, against the built-in sandboxes, with made-up people; and a comparison that can fail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.registry import Connector


def main(connectors: Mapping[str, Connector], *, keep: bool = False, as_json: bool = False) -> int:
    """
    Perform the demo with *connectors* (see `cast`) and return the exit code.

    With *keep* the sandboxes and the daemon run on until Ctrl-C.
    """
    from core.demo.perform import perform  # everything heavy is behind this line

    return perform(connectors, keep=keep, as_json=as_json)
