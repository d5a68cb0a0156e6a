"""
Who plays which part in the demo: any connector that has a sandbox behind HTTP and does what the part asks for.

None is named here; the usual ones are those that `connectors.FIRST` names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass
from typing import Final

import connectors
from core.contract import Category, Kind, Settings
from core.registry import Connector, connector_names, load_connector


class Miscast(ValueError):  # noqa: N818 - a word for what happened
    """Somebody was chosen who cannot play the part, or nobody can; it says who could."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part: the name of its connection, and who can play it."""

    connection: str
    category: Category
    _: KW_ONLY
    able: Callable[[Connector], bool]
    needed: bool = True
    """The others are played only when asked for; else the product's own files tell their lines."""


def _tells(*kinds: Kind) -> Callable[[Connector], bool]:
    return lambda connector: set(kinds) <= {stream.kind for stream in connector.streams(_without_settings(connector)).values()}


def _tells_events(connector: Connector) -> bool:
    return _tells(Kind.EVENT)(connector) and connector.sandbox().tells_events


def _without_settings(connector: Connector) -> Settings:
    return connector.settings_model.model_construct()


PARTS: Final[Mapping[str, Part]] = {
    "crm": Part("crm", Category.CRM, able=lambda connector: bool(connector.audiences)),
    "billing": Part("billing", Category.BILLING, able=_tells(Kind.SUBSCRIPTION)),
    "email": Part("mail", Category.EMAIL, able=lambda connector: bool(connector.audiences)),
    "survey": Part("survey", Category.SURVEY, able=_tells(Kind.ANSWER), needed=False),
    "analytics": Part("analytics", Category.ANALYTICS, able=_tells_events, needed=False),
}
"""By the option of `tagalong demo` that chooses."""


def players(part: Part) -> list[str]:
    """Return the connectors that can play *part*, the usual one first."""
    found = [load_connector(name) for name in connector_names()]
    able = [one.name for one in found if one.manifest.category is part.category and one.manifest.hosts and part.able(one)]
    return sorted(able, key=lambda name: (name not in connectors.FIRST, name))


def cast(chosen: Mapping[str, str | None]) -> dict[str, Connector]:
    """
    Return who plays, by the name of the connection; *chosen* maps options to connectors.

    Raises:
        Miscast: somebody was chosen who cannot play the part, or nobody can.
    """
    played: dict[str, Connector] = {}
    for option, part in PARTS.items():
        name = chosen.get(option)
        if name is None and not part.needed:
            continue
        able = players(part)
        if name is None and able:
            name = able[0]
        if name not in able:
            raise Miscast(f"--{option} can be {' or '.join(able) or 'nobody'}, not {name}")
        played[part.connection] = load_connector(name)
    return played
