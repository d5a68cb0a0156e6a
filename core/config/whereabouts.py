"""Where the database is, of a config that cannot be read whole: an edit half done must not hide a daemon that runs by it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from core.config.environment import overlay

_WORKSPACE: Final = re.compile(
    r"^[ \t]*\[[ \t]*workspace[ \t]*\][ \t]*(?:#[^\n]*)?$(.*?)(?=^[ \t]*\[|\Z)", re.MULTILINE | re.DOTALL
)
_DATABASE: Final = re.compile(r"^[ \t]*database[ \t]*=.*$", re.MULTILINE)


def workspace_of(path: Path, environ: Mapping[str, str]) -> dict[str, Any] | None:
    """
    Return what a broken config says of its workspace, the database at least; None where that cannot be told either.

    Read are the main file alone, and of one that is no TOML the lines of its `[workspace]` alone.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        table = tomllib.loads(text).get("workspace", {})
    except tomllib.TOMLDecodeError:
        table = _said(text)
    except (OSError, UnicodeDecodeError):
        table = None
    merged, _ = overlay({"workspace": table if isinstance(table, dict) else {}}, environ)
    found = merged["workspace"]
    return found if isinstance(found, dict) and (isinstance(table, dict) or "database" in found) else None


def _said(text: str) -> dict[str, Any] | None:
    block = _WORKSPACE.search(text)
    if block is None:  # one that is not there has the usual name; one that is misspelt may have any
        return None if "workspace" in text else {}
    line = _DATABASE.search(block[1])
    try:
        return {} if line is None else tomllib.loads(line[0])
    except tomllib.TOMLDecodeError:
        return None
