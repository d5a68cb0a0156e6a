"""
The story of the demo, told through the real commands: set up, pull, segment, plan, sync; a week later; and a guard at work.

Every command is run as a person would type it, in this process, so that it sees the demo's clock. After each sync the sandboxes
are held against the truth; a difference ends the demo with exit code 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import click

from core.cli import main as tagalong
from core.cli.app import App
from core.clock import from_us
from core.config.load import load_config
from core.demo.compare import Comparison, compare
from core.demo.config import Role, demo_config
from core.demo.people.make import make_world
from core.demo.people.model import World
from core.demo.people.week import WEEK, live_a_week
from core.demo.product import write_exports
from core.demo.stage import DemoClock, Stage
from core.hub import Hub
from core.run import plan
from core.sandbox import Served, as_settings, serve
from core.store import Store

HOUR = timedelta(hours=1)
Lists = dict[str, Mapping[str, frozenset[str]]]


class Wrong(click.ClickException):
    """The sandboxes do not hold what is true; the demo has failed."""


@dataclass(slots=True)
class Story:
    """One performance."""

    folder: Path
    as_json: bool = False
    clock: DemoClock = field(default_factory=lambda: DemoClock(-(WEEK + 2 * HOUR)))
    served: Mapping[str, Served] = field(default_factory=dict)
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
        self.world = make_world(self.clock())
        self.stage = Stage.build(self.clock)
        self.stage.tell(self.world)
        self.clock.advance(HOUR)
        self.served = stack.enter_context(serve(self.stage.sandboxes))
        self.folder.mkdir(parents=True, exist_ok=True)
        write_exports(self.folder, self.world, week=1)
        crm, billing, mail = (self._role(name) for name in ("crm", "billing", "mail"))
        self.config.write_text(demo_config(crm, billing, mail), encoding="utf-8")
        heading(f"{len(self.world.people):,} made-up people of a Nordic shop platform")
        for name, connector in self.stage.connectors.items():
            note(f"{connector.manifest.title} plays the part of `{name}`, on {self.served[name].base_url}")
        note(f"the product's own exports are files in {self.folder / 'data'}")
        note(f"the config is {self.config}")

    def _role(self, name: str) -> Role:
        settings = {key: value for key, value in as_settings(self.served[name]).items() if key != "base_url"}
        connector = self.stage.connectors[name]
        return Role(connector.name, self.served[name].base_url, settings, next(iter(connector.audiences), ""))

    def _first_day(self) -> None:
        heading("Is everything there?")
        self.run("check")
        heading("Pull everybody out of the CRM, the billing tool, the e-mail tool and the files")
        self.run("pull")
        heading("Who is in which segment?")
        self.run("segments")
        heading("What would a sync do?")
        self.run("plan")
        heading("Do it")
        self._sync_and_compare({})

    def _a_week_later(self) -> None:
        heading("A week passes")
        week = live_a_week(self.world)
        self.clock.advance(WEEK - HOUR)
        self.stage.tell(self.world, {loser: str(winner.contact_id) for winner, loser in week.merged})
        write_exports(self.folder, self.world, week=2)
        self.clock.advance(HOUR)
        note(
            f"{len(week.new)} people are new, {len(week.activated)} made their first sale, {len(week.churned)} stopped paying, "
            f"{len(week.failing)} cards failed, {len(week.unsubscribed)} unsubscribed, {len(week.moved)} changed address, "
            f"{len(week.merged)} were merged and {len(week.deleted)} deleted in the CRM"
        )
        self._sync_and_compare(self.lists())

    def _half_of_the_crm_is_lost(self) -> None:
        heading("Half of the CRM's contacts are deleted by mistake")
        before = self.lists()
        writes = {name: box.writes.total() for name, box in self.stage.sandboxes.items()}
        note(f"{self.stage.lose_half_of_the_crm():,} contacts are gone")
        mail_before = before["mail"]
        self.clock.advance(HOUR / 2)
        self.run("sync", allow=(4,))
        self._nothing_was_sent(mail_before, writes)
        self.run("status", allow=(0, 4))
        heading("Somebody looks, and says that the loss is real")
        self.run("approve", f"crm.{self._people_stream()}", allow=(0, 4))
        self.run("sync", "--no-pull", allow=(0, 4))

    def _people_stream(self) -> str:
        with Store(self.config.parent / "tagalong.db", read_only=True) as store:
            row = store.conn.execute(
                "SELECT s.name FROM streams s JOIN connections c ON c.id = s.connection_id "
                "WHERE c.name = 'crm' AND s.held_since IS NOT NULL"
            ).fetchone()
        if row is None:
            raise Wrong("the CRM lost half of its people and nothing was held")
        return str(row[0])

    def _nothing_was_sent(self, mail_before: Mapping[str, frozenset[str]], writes: Mapping[str, int]) -> None:
        sent = {name: box.writes.total() - writes[name] for name, box in self.stage.sandboxes.items()}
        if any(sent.values()) or self.lists()["mail"] != mail_before:
            raise Wrong("the CRM lost half of its people and something was sent because of it")
        good("nothing was sent, and the lists are as they were")

    def run(self, *arguments: str, allow: tuple[int, ...] = (0,)) -> None:
        """Run one command as if it were typed."""
        click.secho(f"\n$ tagalong {' '.join(arguments)}", bold=True)
        code = tagalong.main(list(arguments), standalone_mode=False, obj=App(self.config, clock=self.clock))
        if code not in allow:
            raise Wrong(f"tagalong {arguments[0]} ended with {code}")

    def lists(self) -> Lists:
        """Return what the sandboxes' lists hold, by connection and name."""
        return {name: box.audiences() for name, box in self.stage.sandboxes.items()}

    def _sync_and_compare(self, before: Lists) -> None:
        requests = self.stage.requests()
        self.run("sync", allow=(0, 3))
        spent = {name: now[0] - requests[name][0] for name, now in self.stage.requests().items()}
        writes = {name: now[1] - requests[name][1] for name, now in self.stage.requests().items()}
        note("requests: " + ", ".join(f"{name} {spent[name]} (of which {writes[name]} writes)" for name in spent))
        result, as_of = self.compare(before)
        for wrong in result.wrong:
            click.secho(f"  wrong: {wrong}", fg="red", err=True)
        if result.wrong:
            raise Wrong(f"{len(result.wrong)} differences from what is true at {as_of:%Y-%m-%d %H:%M}")
        good(
            f"all {len(result.members)} lists hold exactly whom they should ({sum(result.members.values()):,} members), "
            "and every skip was reported"
        )

    def compare(self, before: Lists) -> tuple[Comparison, datetime]:
        """Hold lists and skips against the truth; skips are the ones that a plan reports now."""
        with Hub(load_config(self.config, {}), clock=self.clock) as hub:
            plans = plan(hub, names=())
            skips: dict[str, dict[str, set[str]]] = {}
            with hub.store() as store:
                for made in plans:
                    skips[made.label] = {
                        str(reason): addresses(store, list(people))
                        for reason, people in made.skips.items()
                        if reason in REPORTED
                    }
        as_of = self._evaluated_at()
        return compare(self.world, as_of, self.lists(), before, skips), as_of

    def _evaluated_at(self) -> datetime:
        with Store(self.config.parent / "tagalong.db", read_only=True) as store:
            return from_us(store.conn.execute("SELECT max(as_of) FROM member_sets").fetchone()[0])


REPORTED = ("consent", "not_found")


def addresses(store: Store, people: list[int]) -> set[str]:
    """Return the winning addresses of profiles."""
    marks = ",".join("?" * len(people))
    rows = store.conn.execute(f"SELECT lower(email) FROM profiles WHERE id IN ({marks})", people)
    return {row[0] for row in rows}


def heading(text: str) -> None:
    """Start a chapter."""
    click.secho(f"\n{text}", fg="cyan", bold=True)


def note(text: str) -> None:
    """Tell something that no command told."""
    click.echo(f"  {text}")


def good(text: str) -> None:
    """Tell that something is as it should be."""
    click.secho(f"  {text}", fg="green")
