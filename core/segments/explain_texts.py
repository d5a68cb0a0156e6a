"""
What was written for each condition and value of a tree: the words themselves, so that every word has its text, new ones too.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from core.segments.definitions import Definitions, scope_of
from core.segments.explain_spoken import spoken
from core.segments.language import Parsed, parse
from core.segments.reader import Reader, Scope
from core.segments.tree import Condition
from core.segments.tree_traits import COMPUTED
from core.segments.types import Read

_SPACE = re.compile(r"\s+")


@dataclass(slots=True)
class Texts:
    """The texts of one definition's parts; equal parts share one."""

    conditions: dict[Condition, str] = field(default_factory=dict)
    values: dict[Any, str] = field(default_factory=dict)

    def of(self, node: Any) -> str:
        """Return what was written for *node*, else what can be said of it."""
        return self.conditions.get(node) or self.values.get(node) or spoken(node)


def texts_of(definitions: Definitions, name: str) -> tuple[Condition | None, Texts]:
    """Return the condition of the set *name* as it stands in the config (a group's own, alone) and the texts in it."""
    kind, _, rest = name.partition(".")
    partition, _, group = rest.partition(".")
    config = definitions.config
    text = config.segments[rest].where if kind == "segment" else config.partitions[partition].groups.get(group)
    if text is None:
        return None, Texts()
    parsed, texts = parse(text), Texts()
    reader = _Recorder(parsed, scope_of(definitions, name), texts)
    return reader.condition(parsed.root), texts


class _Recorder(Reader):
    """A reader that keeps what was written."""

    def __init__(self, parsed: Parsed, scope: Scope, texts: Texts) -> None:
        super().__init__(parsed, scope)
        self._texts = texts

    def condition(self, node: ast.expr) -> Condition:
        found = super().condition(node)
        self._texts.conditions.setdefault(found, self._written(node))
        return found

    def read(self, node: ast.expr) -> Read:
        found = super().read(node)
        self._texts.values.setdefault(found, self._written(node))
        return found

    def _written(self, node: ast.expr) -> str:
        text = self.parsed.flat[node.col_offset : node.end_col_offset or None].decode()
        return _SPACE.sub(" ", text) if '"' not in text and "'" not in text else text.strip()


def parts(node: Any) -> Iterator[Any]:
    """Yield *node* and everything in it, filters and windows too, whatever kinds of parts there are; a computed value once."""
    stack, seen = [node], set()
    while stack:
        one = stack.pop()
        if isinstance(one, tuple | list):
            stack.extend(one)
        elif is_dataclass(one) and id(one) not in seen:
            if isinstance(one, COMPUTED):  # traits share what they are made of, over and over
                seen.add(id(one))
            yield one
            stack.extend(getattr(one, f.name) for f in fields(one))
