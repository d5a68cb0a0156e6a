"""What a check says: whether all is well, what it saw, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How well it is."""

    PASSED = "passed"
    SKIPPED = "skipped"
    NOTED = "noted"
    """Good to know, and nothing that can be mended here: no trouble."""
    WARNED = "warned"
    """Nothing is broken; somebody should look when there is time."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `tagalong doctor`."""

    check: str
    grade: Grade
    told: str
    remedy: str = ""


def passed(check: str, told: str = "") -> Finding:
    return Finding(check, Grade.PASSED, told)


def skipped(check: str, told: str) -> Finding:
    return Finding(check, Grade.SKIPPED, told)


def noted(check: str, told: str, remedy: str) -> Finding:
    return Finding(check, Grade.NOTED, told, remedy)


def warned(check: str, told: str, remedy: str) -> Finding:
    return Finding(check, Grade.WARNED, told, remedy)


def failed(check: str, told: str, remedy: str) -> Finding:
    return Finding(check, Grade.FAILED, told, remedy)


def listed(names: list[str], most: int = 5) -> str:
    """Return names as a sentence has them, the first few where they are many."""
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
