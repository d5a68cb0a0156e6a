"""
The story of the demo, told through the real commands: set up, pull, segment, plan, sync; a week later; and a guard at work.

Every command is run as a person would type it, in this process, so that it sees the demo's clock. After each chapter that
sends something the sandboxes are held against the truth; a difference ends the demo.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import click

from core.cli import main as tagalong
from core.cli.app import App
from core.demo.cast import cast
from core.demo.compare import Comparison, Lists, compare
from core.demo.config import Role, demo_config
from core.demo.people.loss import lose_half_of_the_crm
from core.demo.people.make import make_world
from core.demo.people.model import World
from core.demo.people.week import WEEK, live_a_week
from core.demo.product import write_exports
from core.demo.said import evaluated_at, held_streams, held_syncs, skipped
from core.demo.stage import HASTE, DemoClock, Stage, open_hastily
from core.registry import Connector
from core.sandbox import Served, as_settings, serve

HOUR = timedelta(hours=1)
SETTLED = timedelta(hours=6)
"""How long after something happened every tool shows it: exports of events are hours late."""


class Wrong(click.ClickException):
    """The sandboxes do not hold what is true; the demo has failed."""


@dataclass(slots=True)
class Story:
    """One performance, and what is to be said of it."""

    folder: Path
    size: int = 2000
    """How many people there are on the first day."""
    connectors: Mapping[str, Connector] = field(default_factory=lambda: cast({}))
    """Who plays, by the name of the connection."""
    clock: DemoClock = field(default_factory=lambda: DemoClock(-(WEEK + SETTLED + HOUR)))
    served: Mapping[str, Served] = field(default_factory=dict)
    people: int = 0
    compared: Comparison = field(default_factory=Comparison)
    """The last comparison."""
    requests: Counter[str] = field(default_factory=Counter)
    """By connection, of all syncs."""
    world: World = field(init=False)
    stage: Stage = field(init=False)

    @property
    def config(self) -> Path:
        """The config file that the demo runs with."""
        return self.folder / "tagalong.toml"

    def tell(self, stack: ExitStack) -> None:
        """Perform everything; the sandboxes live as long as *stack*."""
        self._set_the_stage(stack)
        self._first_day()
        self._a_week_later()
        self._half_of_the_crm_is_lost()

    def _set_the_stage(self, stack: ExitStack) -> None:
        self.stage = Stage.build(self.connectors, self.clock)
        crm = self.stage.sandboxes["crm"]
        self.world = make_world(self.clock(), people=self.size, several_addresses=crm.additional_emails)
        self.people = len(self.world.people)
        self.stage.tell(self.world)
        self.clock.advance(SETTLED)
        self.served = stack.enter_context(serve(self.stage.sandboxes))
        self.folder.mkdir(parents=True, exist_ok=True)
        write_exports(self.folder, self.world, week=1)
        # its keys are written out, as a person's may be: only the owner reads it
        with os.fdopen(os.open(self.config, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            file.write(demo_config({name: self._role(name) for name in self.connectors}))
        heading(f"{self.people:,} made-up people of a Nordic shop platform")
        for name, connector in self.connectors.items():
            note(f"{name:9} a sandbox of {connector.manifest.title}, {self.served[name].base_url}")
        note(f"          (they allow {HASTE:.0f} times the vendors' rates, so that nobody waits)")
        note(f"product   the product's own exports, {self.folder / 'data'}")
        note(f"config    {self.config}")

    def _role(self, name: str) -> Role:
        settings = {key: value for key, value in as_settings(self.served[name]).items() if key != "base_url"}
        connector = self.connectors[name]
        return Role(connector.name, self.served[name].base_url, settings, next(iter(connector.audiences), ""))

    def _first_day(self) -> None:
        heading("Is everything there?")
        self.run("check")
        heading(f"Pull everybody, from {len(self.connectors) + 1} places")
        self.run("pull")
        heading("Who is in which segment?")
        self.run("segments")
        heading("What would a sync send?")
        self.run("plan")
        heading("Send it")
        self._sync()
        self._compare({})

    def _a_week_later(self) -> None:
        heading("A week passes")
        week = live_a_week(self.world, merges=self.stage.sandboxes["crm"].merges)
        self.clock.advance(WEEK - SETTLED)
        self.stage.tell(self.world, {loser: str(winner.contact_id) for winner, loser in week.merged})
        write_exports(self.folder, self.world, week=2)
        self.clock.advance(SETTLED)
        note(f"{len(week.new)} are new, {len(week.activated)} sold for the first time, {len(week.churned)} stopped paying,")
        note(f"{len(week.failing)} cards failed, {len(week.unsubscribed)} unsubscribed, {len(week.moved)} changed address,")
        note(f"{len(week.merged)} were merged and {len(week.deleted)} deleted in the CRM")
        before = self.lists()
        self._sync()
        self._compare(before)
        self.run("segments")

    def _half_of_the_crm_is_lost(self) -> None:
        heading("Half of the CRM's contacts are deleted by mistake")
        before = self.lists()
        lost = lose_half_of_the_crm(self.world)
        self.stage.tell(self.world)
        note(f"{lost:,} contacts are gone, and the CRM took them off its lists")
        left = self.lists()
        writes = self.stage.writes()
        self.clock.advance(HOUR / 2)
        self._sync(allow=(4,))
        if self.stage.writes() != writes or self.lists() != left:
            raise Wrong("the CRM lost half of its people and something was sent because of it")
        good("nothing was sent, and the lists are as the CRM left them")
        self.run("status")
        heading("Somebody looks, and says that the loss is real")
        streams = held_streams(self.folder)
        if not streams:
            raise Wrong("the CRM lost half of its people and nothing was held")
        for stream in streams:
            self.run("approve", stream)
        held = self._sync("--no-pull", allow=(0, 4))
        for sync in held:
            self.run("approve", sync)
        if held:
            self._sync("--no-pull")
        self._compare(before)

    def run(self, *arguments: str, allow: tuple[int, ...] = (0,)) -> None:
        """Run one command as if it were typed."""
        click.secho(f"\n$ tagalong {' '.join(arguments)}", bold=True)
        code = tagalong.main(
            list(arguments), standalone_mode=False, obj=App(self.config, clock=self.clock, opener=open_hastily)
        )
        if code not in allow:
            raise Wrong(f"`tagalong {' '.join(arguments)}` ended with {code}")

    def lists(self) -> Lists:
        """Return what the sandboxes' lists hold, by connection and name."""
        return {name: box.audiences() for name, box in self.stage.sandboxes.items()}

    def _sync(self, *options: str, allow: tuple[int, ...] = (0,)) -> list[str]:
        """Sync, tell what it cost, and return the syncs of which something is held."""
        requests, writes = self.stage.requests(), self.stage.writes()
        self.run("sync", *options, allow=allow)
        spent, written = self.stage.requests() - requests, self.stage.writes() - writes
        self.requests += spent
        told = ", ".join(f"{name} {spent[name]} ({written[name]} of them writes)" for name in self.served if spent[name])
        note(f"requests: {told or 'none'}")
        return held_syncs(self.folder)

    def _compare(self, before: Lists) -> None:
        """Hold lists and skips against the truth; *before* is what the lists held before the sync."""
        as_of = evaluated_at(self.folder)
        self.compared = compare(self.world, as_of, self.lists(), before, skipped(self.config, self.clock))
        for wrong in self.compared.wrong:
            click.secho(f"  wrong: {wrong}", fg="red", err=True)
        if self.compared.wrong:
            raise Wrong(f"the lists are not as the people are at {as_of:%Y-%m-%d %H:%M}Z ({len(self.compared.wrong)} wrong)")
        members = sum(self.compared.members.values())
        good(f"all {len(self.compared.members)} lists hold exactly whom they should, {members:,} members; every skip is right")


def heading(text: str) -> None:
    """Start a chapter."""
    click.secho(f"\n{text}", fg="cyan", bold=True)


def note(text: str) -> None:
    """Tell something that no command told."""
    click.echo(f"  {text}")


def good(text: str) -> None:
    """Tell that something is as it should be."""
    click.secho(f"  {text}", fg="green")
