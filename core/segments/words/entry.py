"""What the reference page (`docs/language.md`) says of a word; each family has its entries beside its words."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One word."""

    word: str
    signature: str
    says: str
    """One sentence."""
    example: str
    """A whole condition: who is in."""
    _: KW_ONLY
    window: bool = False
    """Whether it takes `last=` and the other windows."""
    filter: bool = False
    """Whether it takes `where=`, `source=` and properties by name."""
