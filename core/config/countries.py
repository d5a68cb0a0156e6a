"""
Countries by the law that binds a sender there: ISO 3166-1 alpha-2 codes, groups of them, and who must have said yes.

No library that we know of keeps who is in the European Union, so the groups are written here, with their source and date; a
test holds every code against ISO's list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from typing import Final, Literal

from core import normalise

EU: Final = frozenset({
    "AT", "BE", "BG", "HR", "CY", "CZ", "DK", "EE", "FI", "FR", "DE", "GR", "HU", "IE", "IT", "LV", "LT", "LU", "MT", "NL",
    "PL", "PT", "RO", "SK", "SI", "ES", "SE",
})  # fmt: skip
"""european-union.europa.eu/principles-countries-history/eu-countries, 2026-11-22."""
GROUPS: Final = {"EU": EU, "EEA": EU | {"IS", "LI", "NO"}}
"""The EEA is the Union with Iceland, Liechtenstein and Norway (efta.int/eea)."""
EVERYWHERE: Final = "*"


@dataclass(frozen=True, slots=True)
class ConsentRules:
    """Where a yes is needed before somebody is added at an e-mail tool; elsewhere it is enough that nobody said no."""

    opt_in: frozenset[str] = frozenset()
    """Codes, groups, or `*` for every country."""
    _: KW_ONLY
    opt_out: frozenset[str] = frozenset()
    """Exceptions: a code is more than a group, and a group more than `*`."""
    unknown: Literal["opt_in", "opt_out"] = "opt_in"
    """What holds for people whose country nobody knows, as soon as there is an opt-in country."""

    def __bool__(self) -> bool:
        return bool(self.opt_in)

    def needs_yes(self, country: str | None) -> bool:
        """Return whether somebody of *country*, an ISO code or None, is added only with a yes."""
        if not self.opt_in:
            return False
        if country is None:
            return self.unknown == "opt_in"
        for names in ({country}, {name for name, of in GROUPS.items() if country in of}, {EVERYWHERE}):
            if self.opt_in & names:
                return True
            if self.opt_out & names:
                return False
        return False


ASK_NOBODY: Final = ConsentRules()
"""The rule where none is written: nobody needs a yes."""


def wrong_countries(names: Iterable[object]) -> list[object]:
    """Return what is no ISO code of two letters, no group and no `*`, in order."""
    return [name for name in names if not _is_known(name)]


def _is_known(name: object) -> bool:
    if not isinstance(name, str):
        return False
    return name == EVERYWHERE or name in GROUPS or (len(name) == 2 and normalise.country(name) == name)


def contradictions(rules: ConsentRules) -> list[str]:
    """Return what the rules say both ways: the same word twice, or groups that share a country."""
    both = sorted(rules.opt_in & rules.opt_out)
    shared = [
        f"{one} and {other}" for one in sorted(rules.opt_in & GROUPS.keys()) for other in sorted(rules.opt_out & GROUPS.keys())
        if one != other and GROUPS[one] & GROUPS[other]
    ]  # fmt: skip
    return both + shared
