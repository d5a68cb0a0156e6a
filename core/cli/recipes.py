"""`tagalong recipes`: segments and partitions that fit most, to look at and to put into the config."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from core.cli.app import App, verb
from core.errors import ConfigError, Problem

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.config.model import Config
    from core.recipes.fill import Tables
    from core.recipes.model import Recipe
    from core.recipes.write import Edit

ADD = "add"


@verb("recipes", 'tagalong recipes add activation --event "Store Created" --event "First Order"')
@click.argument("words", nargs=-1, metavar="[add] [NAME]")
@click.option("--event", "events", multiple=True, metavar="NAME", help="Your name for its event; once for each.")
@click.option("--plan", "plans", multiple=True, metavar="NAME", help="Your name for its plan; once for each.")
@click.option("--with", "named", multiple=True, metavar="NAME=VALUE", help="Any other value that it takes.")
@click.option("--dry-run", is_flag=True, help="Print what would change in the config, and write nothing.")
@click.pass_obj
def recipes_command(
    app: App, words: tuple[str, ...], events: tuple[str, ...], plans: tuple[str, ...], named: tuple[str, ...], dry_run: bool
) -> int:
    """
    List segments and partitions that fit most, or add one.

    NAME shows one; `add NAME` writes it into the config, with your names of events and plans in it.
    """
    adding = words[:1] == (ADD,)
    names = words[1:] if adding else words
    if len(names) > 1 or (adding and not names):
        raise click.UsageError(f"name one recipe{' to add' if adding else ''}")
    if not names:
        if events or plans or named or dry_run:
            raise click.UsageError("the options are for one recipe; name it")
        return _list(app)
    recipe, tables = _filled(names[0], events, plans, named)
    if adding:
        return _add(app, recipe, tables, dry_run)
    if dry_run:
        raise click.UsageError(f"--dry-run is for `recipes add {recipe.name}`")
    return _show(app, recipe, tables)


def _filled(name: str, events: tuple[str, ...], plans: tuple[str, ...], named: tuple[str, ...]) -> tuple[Recipe, Tables]:
    """Return the recipe and what it defines with the values that were typed; bad ones are bad usage."""
    from core.config.names import suggest
    from core.recipes.fill import RecipeError, fill, values_of
    from core.recipes.model import load_recipe, recipe_names

    if name not in recipe_names():
        raise click.UsageError(f"there is no recipe {name!r}; {suggest(name, recipe_names())}")
    recipe = load_recipe(name)
    pairs = []
    for text in named:
        key, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--with takes NAME=VALUE, not {text!r}")
        pairs.append((key.strip(), value))
    try:
        return recipe, fill(recipe, values_of(recipe, events=events, plans=plans, named=pairs))
    except RecipeError as error:
        raise click.UsageError(str(error)) from error


def _list(app: App) -> int:
    from core.cli.output import table
    from core.recipes.model import load_recipe, recipe_names
    from core.recipes.needs import needs_of

    told = _told_here(app)
    found = [
        {
            "name": recipe.name, "title": recipe.title, "why": recipe.why, "adds": _adds(recipe.tables),
            "streams": needs_of(recipe).streams, "here": told(recipe),
        }
        for recipe in map(load_recipe, recipe_names())
    ]  # fmt: skip
    if app.as_json:
        return app.answer({"recipes": found})
    columns = ["name", "adds", "streams", *(["here"] if any(one["here"] for one in found) else []), "why"]
    heads = {"name": "recipe", "streams": "needs"}
    table([heads.get(column, column) for column in columns], [[one[column] for column in columns] for one in found])
    return 0


def _told_here(app: App) -> Callable[[Recipe], str | None]:
    """Return what tells whether the config can take a recipe: ready, there, or what it lacks; nothing without a config."""
    from contextlib import nullcontext

    from core.cli.definitions import vocabulary_of
    from core.recipes.fill import fill
    from core.recipes.needs import config_of
    from core.segments.definitions import define
    from core.store import Store

    try:
        config = app.config()
    except ConfigError:
        return lambda _recipe: None
    database = config.workspace.database
    with Store(database) if database.exists() else nullcontext() as store:
        vocabulary = vocabulary_of(config, store)

    def told(recipe: Recipe) -> str:
        if any(name in getattr(config, kind) for kind, named in recipe.tables.items() for name in named):
            return "there"
        try:
            define(config_of(fill(recipe, {})), vocabulary)
        except ConfigError as error:
            return error.problems[0].message
        return "ready"

    return told


def _adds(tables: Any) -> list[str]:
    return [f"{kind[:-1]} {name}" for kind, named in tables.items() for name in named]


def _show(app: App, recipe: Recipe, tables: Tables) -> int:
    from core.cli.drawing import prose
    from core.cli.output import clean
    from core.recipes.needs import needs_of

    needs = needs_of(recipe)
    text = _text(recipe, tables)
    if app.as_json:
        takes = [
            {"name": p.name, "kind": p.kind, "many": p.many, "default": p.default, "means": p.means}
            for p in recipe.parameters.values()
        ]
        told = {
            "name": recipe.name, "title": recipe.title, "why": recipe.why, "words": needs.words,
            "streams": needs.streams, "takes": takes, "text": text, **tables,
        }  # fmt: skip
        return app.answer({"recipe": told})
    lines = [
        recipe.title,
        "",
        prose(recipe.why, 0),
        "",
        f"words    {', '.join(needs.words)}",
        f"streams  {', '.join(needs.streams)}",
    ]
    if recipe.parameters:
        lines += ["", "Takes"]
        width = max(map(len, recipe.parameters))
        for one in recipe.parameters.values():
            default = ", ".join(map(str, one.default))
            lines.append(prose(f"  {one.name.ljust(width)}  {one.kind}: {one.means} ({default})", width + 4))
    lines += ["", f"`tagalong recipes add {recipe.name}` writes", "", *(f"  {line}".rstrip() for line in text.splitlines())]
    click.echo(clean("\n".join(lines)))
    return 0


def _unwritten(problem: Problem, made: Edit) -> Problem:
    """Return *problem* without the line at which the recipe would stand: the file has no such line."""
    if problem.key is None or not problem.key.startswith(tuple(made.added)):
        return problem
    remedy = f"{problem.remedy}; nothing was written" if problem.remedy else "nothing was written"
    return replace(problem, line=None, remedy=remedy)


def _text(recipe: Recipe, tables: Tables) -> str:
    from core.recipes.write import block_of

    blocks = [block_of(kind, named, [recipe.why] if not number else []) for number, (kind, named) in enumerate(tables.items())]
    return "\n".join(blocks)


def _add(app: App, recipe: Recipe, tables: Tables, dry_run: bool) -> int:
    from core.cli.output import clean
    from core.config.load import load_config
    from core.recipes.write import edit, write

    config = app.config()
    _refuse_taken(config, tables)
    made = edit(app.path, tables, [recipe.why])
    try:
        warnings = _warnings(load_config(app.path, app.environ, text=made.text), made)
    except ConfigError as error:
        raise ConfigError(*(_unwritten(problem, made) for problem in error.problems)) from error
    if not dry_run:
        write(made)
    if app.as_json:
        told = {"config": config.path, "added": made.added, "written": not dry_run, "diff": made.diff(), "warnings": warnings}
        return app.answer(told)
    if dry_run:
        click.echo(clean(made.diff()))
    else:
        click.echo(f"Added {', '.join(made.added)} to {app.path}.")
    for warning in warnings:
        app.say(f"warning: {warning}")
    return 0


def _refuse_taken(config: Config, tables: Tables) -> None:
    """Refuse names that are there already: a recipe never changes what is written."""

    problems = []
    for kind, named in tables.items():
        there = getattr(config, kind)
        for name in (name for name in named if name in there):
            place = there[name].place
            remedy = "rename or remove that one first; nothing was written"
            problems.append(
                Problem("there is one of this name", file=place.file, line=place.line, key=f"{kind}.{name}", remedy=remedy)
            )
    if problems:
        raise ConfigError(*problems)


def _warnings(config: Config, made: Edit) -> list[str]:
    """Return what is doubtful about the new definitions; ConfigError with a caret where the config cannot feed them."""
    from core.cli.definitions import definitions_of

    wanted = {(kind.removesuffix("s"), name) for kind, _, name in (one.partition(".") for one in made.added)}
    sets = [one for key, one in definitions_of(config).sets.items() if tuple(key.split(".")[:2]) in wanted]
    return list(dict.fromkeys(warning for one in sets for warning in one.warnings))
