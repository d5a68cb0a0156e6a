"""
The config's text: read, with what it includes, put under the environment's settings, and every key's place remembered.

What the tables mean is not here (`tables`, `connections`, `syncs`).
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.config.environment import overlay
from core.config.locate import Path as KeyPath
from core.config.locate import find_lines
from core.config.model import Place
from core.config.names import suggest
from core.config.syntax import decoded, syntax_problem
from core.errors import ConfigError, Problem

NAMED = ("connections", "segments", "partitions", "traits", "alerts")
TOP = ("include", "workspace", *NAMED, "syncs")
_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(slots=True)
class Places:
    """Where each key of the merged document stands."""

    main: str
    lines: dict[KeyPath, tuple[str, int]] = field(default_factory=dict)
    variables: Mapping[KeyPath, str] = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)
    """Names of the syncs, by index: a message says `syncs.regulars.to`, not `syncs.3.to`."""

    def find(self, path: KeyPath) -> Place:
        """Return the place of *path*, or of the nearest table around it."""
        key = self.spell(path)
        for depth in range(len(path), 0, -1):
            around = path[:depth]
            variable = self.variables.get(around)
            if variable is not None:
                return Place(f"environment variable {variable}", None, key)
            if around in self.lines:
                return Place(*self.lines[around], key)
            beneath = depth > 1 and next((name for at, name in self.variables.items() if at[:depth] == around), None)
            if beneath:  # a table that stands in no file
                return Place(f"environment variable {beneath}", None, key)
        return Place(self.main, None, key)

    def spell(self, path: KeyPath) -> str:
        """Return *path* as a dotted key."""
        steps = list(path)
        if len(steps) > 1 and steps[0] == "syncs" and isinstance(steps[1], int):
            steps[1] = self.names.get(steps[1], steps[1] + 1)
        return ".".join(str(s) if not isinstance(s, str) or _BARE.fullmatch(s) else f'"{s}"' for s in steps)


@dataclass(slots=True)
class Document:
    """The merged tables, not yet checked, and the problems that did not stop the reading."""

    data: dict[str, Any]
    places: Places
    problems: list[Problem]


def read_document(path: Path, environ: Mapping[str, str], *, text: str | None = None) -> Document:
    """Read *path* (as if it held *text*, if that is given) and what it includes; ConfigError for text that is not TOML."""
    problems: list[Problem] = []
    main, lines = _read(path) if text is None else _parsed(text, path)
    places = Places(str(path), {at: (str(path), line) for at, line in lines.items()})
    merged: dict[str, Any] = {key: value for key, value in main.items() if key != "include"}
    broken: list[Problem] = []
    for file in _included(path, main.get("include", []), places, problems):
        try:
            part, lines = _read(file)
        except ConfigError as error:
            broken += error.problems
            continue
        _add(merged, part, str(file), lines, places, problems)
    if broken:
        raise ConfigError(*broken)
    merged, places.variables = overlay(merged, environ)
    if isinstance(merged.get("syncs"), list):
        named = ((i, sync.get("name")) for i, sync in enumerate(merged["syncs"]) if isinstance(sync, dict))
        places.names = {i: name for i, name in named if isinstance(name, str)}
    return Document(merged, places, problems)


def _read(path: Path) -> tuple[dict[str, Any], Mapping[KeyPath, int]]:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        remedy = "run `tagalong init` to write one, or name another with --config"
        raise ConfigError(Problem("there is no such file", file=str(path), remedy=remedy)) from error
    except OSError as error:
        raise ConfigError(Problem(f"cannot be read ({error.strerror})", file=str(path))) from error
    return _parsed(decoded(content, path), path)


def _parsed(text: str, path: Path) -> tuple[dict[str, Any], Mapping[KeyPath, int]]:
    text = text.replace("\r\n", "\n")
    try:
        return tomllib.loads(text), find_lines(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(syntax_problem(str(error), path, text)) from error


def _included(path: Path, patterns: Any, places: Places, problems: list[Problem]) -> Iterator[Path]:
    place = places.find(("include",))
    if not isinstance(patterns, list) or not all(isinstance(p, str) for p in patterns):
        problems.append(
            Problem('must be a list of paths, as ["segments/*.toml"]', file=place.file, line=place.line, key="include")
        )
        return
    seen = {path.resolve()}
    for pattern in patterns:
        files = [file for file in _matching(pattern, path.parent) if file.is_file()]
        if not files:  # silence here would retire every sync of a mistyped path
            remedy = "a path is looked for from the folder of this file; * stands for any part of a name, as in segments/*.toml"
            said = f"{pattern!r} matches no file"
            problems.append(Problem(said, file=place.file, line=place.line, key="include", remedy=remedy))
        for file in files:
            if file.resolve() not in seen:
                seen.add(file.resolve())
                yield file


def _matching(pattern: str, folder: Path) -> list[Path]:
    if Path(pattern).is_absolute():
        return [Path(pattern)]
    try:
        return sorted(folder.glob(pattern))
    except (IndexError, ValueError):  # ".", "" and "**x" are no patterns
        return []


def _add(
    merged: dict[str, Any],
    part: dict[str, Any],
    file: str,
    lines: Mapping[KeyPath, int],
    places: Places,
    problems: list[Problem],
) -> None:
    """Put the tables of an included file beside those already there."""
    offset = len(merged["syncs"]) if isinstance(merged.get("syncs"), list) else 0
    for key, value in part.items():
        if key == "syncs" and isinstance(value, list) and isinstance(merged.get(key, []), list):
            merged[key] = [*merged.get(key, []), *value]
        elif key in NAMED and isinstance(value, dict) and isinstance(merged.get(key, {}), dict):
            merged[key] = {**merged.get(key, {})}
            for name, table in value.items():
                if name in merged[key]:
                    there = places.find((key, name))
                    message = f"is defined twice, also at {there.file}:{there.line}"
                    problems.append(Problem(message, file=file, line=lines.get((key, name)), key=f"{key}.{name}"))
                else:
                    merged[key][name] = table
        else:
            allowed = (*NAMED, "syncs")
            said = "belongs in the main file" if key in ("workspace", "include") else f"unknown or wrong table {key!r}"
            problems.append(Problem(said, file=file, line=lines.get((key,)), key=key, remedy=suggest(key, allowed)))
    for at, line in lines.items():
        if at[0] == "syncs" and len(at) > 1 and isinstance(at[1], int):
            at = ("syncs", at[1] + offset, *at[2:])
        places.lines.setdefault(at, (file, line))
