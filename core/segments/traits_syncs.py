"""Which traits and fields the syncs of a config write, and what is wrong with that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from core.config.model import Config, SyncConfig
from core.config.names import suggest
from core.errors import Problem
from core.segments.vocabulary import COMPANY_FIELDS, PROFILE_FIELDS


def fields_named(sync: SyncConfig) -> tuple[str, ...]:
    """Return the traits and canonical fields that a sync writes."""
    fields = sync.params.get("fields")
    return tuple(str(name) for name in fields.values()) if isinstance(fields, Mapping) else ()


def sync_problems(config: Config, traits: Iterable[str]) -> list[Problem]:
    """Return each field of a sync that is neither a trait nor a canonical field."""
    known = [*traits, *PROFILE_FIELDS, *(f"company.{name}" for name in COMPANY_FIELDS)]
    found = []
    for sync in config.syncs.values():
        for name in fields_named(sync):
            if name not in known:
                place, message = sync.place, f"there is no trait and no field {name}"
                found.append(Problem(message, place.file, place.line, f"{place.key}.fields", remedy=suggest(name, known)))
    return found
