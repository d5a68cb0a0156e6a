"""
Finds connectors: the folders of the `connectors` package, plus entry points in the group `tagalong.connectors`.

A connector's module is imported only when it is asked for, so the command line starts fast. What an installed package brings
never stands in for a connector that is there already, and is known by one name only: the entry point's and the manifest's.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import Any

from core.contract import (
    Api,
    Audience,
    Auth,
    CheckStep,
    Erasure,
    Manifest,
    Outcome,
    Quota,
    ResponseView,
    Sandbox,
    Settings,
    Sought,
    Stream,
    StreamSet,
)
from core.errors import ConfigError, ConnectorError, Problem

ENTRY_POINTS = "tagalong.connectors"


@dataclass(frozen=True, slots=True)
class Connector:
    """A vendor's module, seen through the names that the contract gives it."""

    module: ModuleType

    @property
    def manifest(self) -> Manifest:
        return self.module.MANIFEST  # type: ignore[no-any-return]  # checked by the contract suite

    @property
    def name(self) -> str:
        return self.manifest.name

    @property
    def settings_model(self) -> type[Settings]:
        return self.module.Settings  # type: ignore[no-any-return]  # checked by the contract suite

    def auth(self, settings: Settings) -> Auth:
        return self.module.auth(settings)  # type: ignore[no-any-return]  # checked by the contract suite

    def account(self, api: Api) -> str:
        """Return the vendor's id of the account; it may ask the vendor."""
        return str(self.module.account(api))

    def streams(self, settings: Settings) -> Mapping[str, Stream]:
        make: Callable[[Settings], Iterable[Stream]] | None = getattr(self.module, "streams", None)
        if make is not None:
            return {stream.name: stream for stream in make(settings)}
        return getattr(self.module, "STREAMS", StreamSet())

    @property
    def audiences(self) -> Mapping[str, type[Audience]]:
        return getattr(self.module, "AUDIENCES", {})

    @property
    def classify(self) -> Callable[[ResponseView], ConnectorError | None] | None:
        """Asked first on every response: an error to raise, or None to let the table of statuses decide."""
        return getattr(self.module, "classify", None)

    @property
    def rest_until(self) -> Callable[[ResponseView, Any], datetime | None] | None:
        """
        Asked on every response that is no error, with the settings: until when to leave the vendor alone after it, or None.

        The answer stands; requests before that time are a pause of the connection.
        """
        return getattr(self.module, "rest_until", None)

    @property
    def quota(self) -> Callable[[ResponseView, Any], Quota | None] | None:
        """Asked on every response that is no error, with the settings, where no usual header tells what is left of a quota."""
        return getattr(self.module, "quota", None)

    @property
    def check(self) -> Callable[[Api], Iterable[CheckStep]] | None:
        return getattr(self.module, "check", None)

    @property
    def erasure(self) -> Erasure | None:
        """What the vendor does with somebody who is to be forgotten, by `erase` or by hand."""
        return getattr(self.module, "ERASURE", None)

    @property
    def erase(self) -> Callable[[Api, Sought], Sequence[Outcome]] | None:
        """
        Ask the vendor to erase somebody; asking twice does no more than asking once. None where only a person can.

        It returns one outcome for each object or address that it asked for, none where nothing of them can be asked for.
        """
        return getattr(self.module, "erase", None)

    def sandbox(self, **options: Any) -> Sandbox:
        """Return a new sandbox of the vendor (imports starlette)."""
        module = importlib.import_module(f"{self.module.__name__}.sandbox")
        return module.SANDBOX(**options)  # type: ignore[no-any-return]  # checked by the contract suite


@lru_cache(maxsize=1)
def _modules() -> Mapping[str, str]:
    package = importlib.import_module("connectors")
    found = {m.name: f"connectors.{m.name}" for m in pkgutil.iter_modules(package.__path__) if m.ispkg}
    for point in entry_points(group=ENTRY_POINTS):
        there = found.setdefault(point.name, point.module)
        if there != point.module:
            said = f"{_package(point)} brings a connector called {point.name!r}, and {there} is called so already"
            raise ConfigError(Problem(said, remedy="uninstall that package, or have its connector renamed"))
    return found


def _package(point: EntryPoint) -> str:
    return f"the installed package {point.dist.name}" if point.dist is not None else f"an entry point of {ENTRY_POINTS}"


def connector_names() -> list[str]:
    """Return the names of all connectors there are, sorted; ConfigError where two share one."""
    return sorted(_modules())


def load_connector(name: str) -> Connector:
    """Import the connector *name*; KeyError where there is none, ConfigError where it calls itself something else."""
    module = importlib.import_module(_modules()[name])
    manifest = getattr(module, "MANIFEST", None)
    if not isinstance(manifest, Manifest) or manifest.name != name:
        itself = repr(manifest.name) if isinstance(manifest, Manifest) else "nothing: it has no MANIFEST"
        remedy = "the entry point's name and MANIFEST.name must be the same; ask who made it"
        raise ConfigError(Problem(f"the connector {name!r} ({module.__name__}) calls itself {itself}", remedy=remedy))
    return Connector(module)
