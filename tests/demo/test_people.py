"""The made-up people: made without the hub, the same each time, and nobody real."""

from __future__ import annotations

import ast
from datetime import UTC, datetime
from pathlib import Path

from core.demo import people
from core.demo.people.make import make_world
from core.demo.people.truth import expected_tag, truth
from core.demo.people.week import live_a_week

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
FOLDER = Path(people.__file__).parent


def test_the_generator_imports_nothing_of_the_hub():
    """Truth that shares code with the hub would share its mistakes."""
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            ours = [name for name in names if name.startswith(("core", "connectors"))]
            assert [name for name in ours if not name.startswith("core.demo.people")] == []


def test_the_same_seed_gives_the_same_people():
    first, second = make_world(NOW, people=300, seed=3), make_world(NOW, people=300, seed=3)

    assert first == second
    assert first != make_world(NOW, people=300, seed=4)


def test_every_address_is_of_example_com():
    for person in make_world(NOW, people=300).people:
        for address in (person.email, person.product_email, person.billing_email, person.member_email, *person.other_emails):
            assert address is None or address.endswith(".example.com")


def test_a_week_changes_every_kind_of_thing():
    world = make_world(NOW)
    before = truth(world, world.now)
    week = live_a_week(world)
    after = truth(world, world.now)

    assert all((week.new, week.activated, week.churned, week.failing, week.unsubscribed, week.moved, week.merged, week.deleted))
    changed = [name for name in before.sets if {p.number for p in before.sets[name]} != {p.number for p in after.sets[name]}]
    assert set(changed) >= {"segment.pricing_regulars", "segment.paying_nordics", "partition.lifecycle.churned"}


def test_who_unsubscribed_while_tagged_stays_tagged_but_is_never_added():
    world = make_world(NOW, people=300)
    person = next(p for p in world.people if p.member_email == p.email == p.address and p.member_status == "unsubscribed")

    assert {person.email} == expected_tag(world, [person], {person.email}).members
    assert {person.email} == expected_tag(world, [person], set()).skips["consent"]
