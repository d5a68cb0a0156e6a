"""The config and the connectors: whether it loads, what in it is unwise, whose facts are old."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final

from core.clock import Clock
from core.config.load import load_config
from core.config.model import Config
from core.config.secrets import exposed_secrets
from core.doctor.finding import Finding, failed, listed, passed, warned
from core.doctor.patient import Patient
from core.errors import ConfigError
from core.registry import load_connector
from core.segments.definitions import define
from core.segments.vocabulary import read_vocabulary

OLD_FACTS: Final = timedelta(days=365)


def read(path: Path, environ: Mapping[str, str]) -> tuple[Config | None, Finding]:
    """Read the config."""
    try:
        config = load_config(path, environ)
    except ConfigError as error:
        first, more = error.problems[0], len(error.problems) - 1
        told = str(first).splitlines()[0] + (f" (and {more} more)" if more else "")
        return None, failed("config", told, "`tagalong check` shows every problem")
    exposed = [place.key for place in exposed_secrets(config)]
    if exposed:
        told = f"others may read {listed(exposed)} in it"
        return config, warned("config", told, f"chmod 600 {path}, or move them to the environment")
    return config, passed("config", str(path))


def connectors(config: Config, clock: Clock) -> Finding:
    """Whose facts about the vendor nobody has looked at for a year."""
    manifests = [load_connector(name).manifest for name in sorted({one.connector for one in config.connections.values()})]
    old = [f"{one.name} ({one.checked_on})" for one in manifests if clock().date() - one.checked_on > OLD_FACTS]
    if old:
        remedy = "see that this is the latest version of tagalong, and the vendor's changelog for what it changed since"
        return warned("connectors", f"checked against the vendor's documents over a year ago: {listed(old)}", remedy)
    return passed("connectors", f"{len(manifests)} in use")


def names(patient: Patient) -> Finding:
    """Names of events, questions and fields that no pull has shown: syncs over them are held."""
    config = patient.config
    if config is None or patient.store is None:
        raise ValueError("there is no config or no store")
    used = {one.connector: load_connector(one.connector) for one in config.connections.values()}
    try:
        definitions = define(config, read_vocabulary(config, used, patient.store))
    except ConfigError as error:
        return failed("names in segments", str(error.problems[0]).splitlines()[0], "`tagalong check` shows every problem")
    doubts = list(dict.fromkeys(doubt for one in definitions.sets.values() for doubt in one.warnings))
    if doubts:
        return warned("names in segments", listed(doubts, 3), "`tagalong fields` lists what there is")
    return passed("names in segments", f"{len(definitions.sets)} sets")
