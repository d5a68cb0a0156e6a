"""What is there before the first storm: who plays, more trials than the demo has, and people whom somebody put into lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from random import Random
from typing import Final

from proxy import Proxy

from core.contract import Audience, Change, Ref, Sandbox
from core.demo.compare import Target, targets
from core.demo.config import Role
from core.demo.people.make import subscribe
from core.demo.people.model import Person, World
from core.hub import Hub
from core.registry import Connector

TRIALS: Final = 22
FREE: Final = 6
"""So many shops of those that pay nothing may begin a trial later."""
BY_HAND: Final = ("Payment failing", "Lifecycle: active", "Stuck in setup")
"""Lists into which somebody put people before the first sync."""


def more_trials(world: World, random: Random) -> None:
    """Let more shops try the product: with few trials, the guard against a list that loses half would rightly hold."""
    paying = {p.shop.id for p in world.people if p.shop and p.subscription}
    free = {p.shop.id: p for p in world.people if p.shop and p.contact_id and p.shop.id not in paying}
    for person in list(free.values())[FREE:][:TRIALS]:
        subscribe(world, random, person, status="trialing")


def roles_of(connectors: Mapping[str, Connector], proxy: Proxy) -> dict[str, Role]:
    """Return who plays what, behind the proxy; where a vendor has a sign-in, somebody has signed in."""
    roles = {}
    for name, made in connectors.items():
        front = proxy.fronts[name]
        box = front.sandbox
        settings, signed_in, desk = dict(box.settings()), box.oauth_settings(), getattr(box, "desk", None)
        if desk is not None and desk.refreshes and signed_in and "refresh_token" in made.settings_model.model_fields:
            form = {"grant_type": "authorization_code", "client_id": desk.client_id, "client_secret": desk.client_secret}
            settings = {**signed_in, "refresh_token": desk.token({**form, "code": desk.hand_out()})["refresh_token"]}
        roles[name] = Role(made.name, front.base_url, settings, next(iter(made.audiences), ""))
    return roles


def people_by_hand(world: World, random: Random) -> list[Person]:
    """Return whom somebody puts into lists by hand: staff, and some whom the hub may come to want and to leave."""
    known = [p for p in world.people if p.contact_id and p.member_email == p.email and not p.other_emails]
    able = [p for p in known if p.member_status == "subscribed"]
    return [*[p for p in able if p.staff][:3], *random.sample([p for p in able if not p.staff], 6)]


def put_by_hand(hub: Hub, sandboxes: Mapping[str, Sandbox], people: Sequence[Person]) -> dict[Target, frozenset[str]]:
    """Put *people* into lists of the names that the hub will look for, and return who is there now."""
    found: dict[Target, frozenset[str]] = {}
    keys = [p.email.lower() for p in people]
    with ExitStack() as stack:
        apis = {name: stack.enter_context(hub.open(name)) for name in ("crm", "mail")}
        for target in targets():
            if target.audience not in BY_HAND:
                continue
            cls = next(iter(hub.connector(target.connection).audiences.values()))
            audience, api = cls(cls.Params()), apis[target.connection]
            refs = audience.find(api, keys) if cls.find is not Audience.find else {key: [Ref(key)] for key in keys}
            put = [refs[key][0] for key in keys if refs.get(key)]
            remote_id = audience.create(api, target.audience, put[:1] if cls.seeded else [])
            audience.apply(api, remote_id, [Change(ref) for ref in put], [])
            there = sandboxes[target.connection].audiences()[target.audience]
            found[target] = frozenset(member.lower() for member in there)
    for box in sandboxes.values():
        box.change_log.clear()
    for path in hub.path.parent.glob(f"{hub.path.name}*"):
        path.unlink()
    return found
