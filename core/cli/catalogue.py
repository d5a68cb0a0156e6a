"""`tagalong connectors`: which connectors there are, and what one needs; `docs/connectors.md` is made of the same facts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from core.cli.app import App, verb

if TYPE_CHECKING:
    from core.contract import Limit
    from core.registry import Connector

COLUMNS: Final = ("name", "title", "category", "pulls", "pushes", "tier")
PERIODS: Final[dict[float, str]] = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}


@verb("connectors", "tagalong connectors")
@click.argument("name", required=False)
@click.pass_obj
def connectors_command(app: App, name: str | None) -> int:
    """
    List the connectors there are, or describe one.

    Of one it tells what its credentials must be allowed, which limits are kept, and the lines to put into a config.
    """
    from core.registry import connector_names, load_connector

    if name is not None:
        return _one(app, name)
    found = [describe(load_connector(each)) for each in connector_names()]
    if app.as_json:
        return app.answer({"connectors": found})
    from core.cli.output import table

    table(COLUMNS, [row_of(one) for one in found])
    return 0


def row_of(described: dict[str, Any]) -> list[str]:
    """Return the cells of COLUMNS."""
    empty = {"pulls": "by config" if described["category"] == "file" else "nothing", "pushes": "nothing"}
    return [", ".join(value) if isinstance(value, list) else str(value) for value in
            (described[column] or empty[column] for column in COLUMNS)]  # fmt: skip


def _one(app: App, name: str) -> int:
    from core.config.names import suggest
    from core.registry import connector_names, load_connector

    names = connector_names()
    if name not in names:
        nearest = suggest(name, names)
        raise click.UsageError(f"there is no connector {name}{f'; {nearest}' if nearest else ''}")
    described = describe(load_connector(name))
    if app.as_json:
        return app.answer({"connector": described})
    click.echo("\n".join(_told(described)))
    return 0


def _told(one: dict[str, Any]) -> list[str]:
    from core.cli.drawing import prose

    pulls, pushes = row_of(one)[3:5]
    lines = [
        f"{one['title']} ({one['category']}, {one['tier']}), API {one['api_version']}, facts checked on {one['checked_on']}"
    ]
    lines += ["", f"pulls   {pulls}", f"pushes  {pushes}", "", "Settings"]
    width = max(len(setting["name"]) for setting in one["settings"])
    for setting in one["settings"]:
        need = "required" if setting["required"] else "optional"
        told = f"  {setting['name'].ljust(width)}  {need}  {' '.join(setting['description'].split())}".rstrip()
        lines.append(prose(told, width + 2 + 2 + len(need) + 2))
    if one["scopes"]:
        width = max(map(len, one["scopes"]))
        lines += ["", "What the credentials must be allowed"]
        lines += [prose(f"  {scope.ljust(width)}  {what_for}", width + 4) for scope, what_for in one["scopes"].items()]
    if one["limits"]:
        lines += ["", "Limits that are kept", *(f"  {limit}" for limit in one["limits"])]
    if one["start"]:
        lines += ["", "To put into the config", "", *(f"  {line}".rstrip() for line in one["start"].splitlines())]
    return lines


def describe(connector: Connector) -> dict[str, Any]:
    """Return what there is to know of *connector* before it is configured."""
    from core.cli.starting import start_of

    manifest = connector.manifest
    return {
        "name": connector.name,
        "title": manifest.title,
        "category": manifest.category.value,
        "pulls": _stream_names(connector),
        "pushes": list(connector.audiences),
        "tier": _tier(Path(connector.module.__file__ or "")),
        "settings": _settings(connector),
        "scopes": dict(manifest.scopes),
        "limits": [limit_in_words(limit) for limit in manifest.limits],
        "start": start_of(connector),
        "api_version": manifest.api_version,
        "checked_on": manifest.checked_on,
        "docs_url": manifest.docs_url,
    }


def limit_in_words(limit: Limit) -> str:
    """Return *limit* as `100 a second, 4 at once` or `60 an hour on /export`."""
    period = (
        PERIODS.get(int(limit.per_s), f"in {limit.per_s:g} s") if limit.per_s == int(limit.per_s) else f"in {limit.per_s:g} s"
    )
    words = f"{limit.amount:g} {period}"
    if limit.cost != 1:
        words += f", each request counted as {limit.cost:g}"
    if limit.concurrency is not None:
        words += f", {limit.concurrency} at once"
    return f"{words} on {', '.join(limit.paths)}" if limit.paths else words


def _stream_names(connector: Connector) -> list[str]:
    """Return the streams that the connector has under any settings; none where only the config says."""
    try:
        return list(connector.streams(connector.settings_model.model_construct()))
    except (AttributeError, TypeError, ValueError):
        return []


def _settings(connector: Connector) -> list[dict[str, Any]]:
    """Return the connector's own settings, in the order of its author, then those that all have."""
    from core.contract import Settings

    unused = connector.settings_model.unused
    fields = {name: info for name, info in connector.settings_model.model_fields.items() if name not in unused}
    common = [name for name in Settings.model_fields if name in fields]
    return [
        {
            "name": fields[name].alias or name,
            "required": fields[name].is_required(),
            "description": fields[name].description or "",
        }
        for name in [*(name for name in fields if name not in common), *common]
    ]


def _tier(module: Path) -> str:
    """Return the tier that the connector claims (quality.toml beside it)."""
    try:
        return str(tomllib.loads((module.parent / "quality.toml").read_text(encoding="utf-8")).get("tier", "none"))
    except (OSError, tomllib.TOMLDecodeError):
        return "none"
