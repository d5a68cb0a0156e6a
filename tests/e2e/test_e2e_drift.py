"""Lists that people change by hand: what `drift` says and mends, whom `baseline` adopts, what `retire` takes out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from house import VIP, VIPS_TO_MAIL, House, address

from core.cli.app import App
from core.contract import Change, Fault
from core.sandbox import Truncated

LISTS = [("crm", "list"), ("mail", "tag"), ("campaigns", "tag")]
FORBIDDEN = Fault(403, {"content-type": "application/json"}, b"{}")


def vips_to(connection: str, kind: str, **options: str) -> str:
    more = "".join(f'{name} = "{value}"\n' for name, value in options.items())
    return f'[[syncs]]\nname = "vips"\nsegment = "vip"\nto = "{connection}"\naudience = {{ {kind} = "Vips" }}\n{more}'


@contextmanager
def audience(h: House, connection: str, kind: str) -> Iterator[tuple[Any, Any]]:
    """Give an audience of the vendor and its api, as a colleague with a script of their own has them."""
    with App(h.path, clock=h.clock, environ=h.environ).hub() as hub, hub.open(connection) as api:
        made = hub.connector(connection).audiences[kind]
        yield made(made.Params()), api


def by_hand(h: House, connection: str, kind: str, *, put: Iterable[int] = (), out: Iterable[int] = ()) -> None:
    """Change a list behind the hub's back."""
    with audience(h, connection, kind) as (of, api):
        id_ = of.lookup(api, "Vips") or of.create(api, "Vips", [])
        found = of.find(api, [address(n) for n in (*put, *out)])
        adds = [Change(found[address(n)][0]) for n in put]
        of.apply(api, id_, adds, [found[address(n)][0] for n in out])


def there(h: House, connection: str) -> set[int]:
    """Return the numbers of the people in the list."""
    members = h.tagged(connection=connection)
    return {int(m) - 1000 if connection == "crm" else int(m.removeprefix("person").partition("@")[0]) for m in members}


@pytest.fixture(params=LISTS, ids=[f"{connection} {kind}" for connection, kind in LISTS])
def shared(request: pytest.FixtureRequest, house: Callable[..., House]) -> tuple[House, str, str]:
    """A house with a list that a colleague had begun, of 90 and 91 (a customer, too), and that holds 0 to 5 of ours."""
    connection, kind = request.param
    h = house(*dict.fromkeys(("crm", connection)))
    h.people(*range(6), 91)
    h.people(90, 92, stage="lead")
    h.write_config(VIP, vips_to(connection, kind))
    by_hand(h, connection, kind, put=[90, 91])
    h.sync()
    assert {*range(6), 90, 91} == there(h, connection)
    h.clock.advance(hours=1)
    return h, connection, kind


def test_what_was_changed_by_hand_is_told_and_mended(shared: tuple[House, str, str]) -> None:
    h, connection, kind = shared
    assert 0 == h.run("drift").code
    by_hand(h, connection, kind, put=[92], out=[0, 1, 90])
    h.people(1, stage="lead")
    h.clock.advance(minutes=16)
    h.run("pull", "crm")

    (found,) = h.run("drift", "vips", "--members", "--json", code=3).json["audiences"]
    named = {(one["what"], one["email"], one["wanted"]) for one in found["members"]}
    assert {
        ("missing", address(0), True),
        ("missing", address(1), False),
        ("extra", address(92), False),
        ("gone", address(90), False),
    } == named
    assert (6, 4, 1) == (found["there"], found["ours"], found["foreign"])
    told = h.run("drift", "--members", code=3).out
    assert "2 missing, of whom 1 are wanted" in told
    assert f"{address(0)}\t" in told

    writes = h.writes()
    assert "mended" in h.run("drift", "--repair").out
    assert writes == h.writes()
    assert 0 == h.run("drift").code
    h.sync()
    assert {0, 2, 3, 4, 5, 91, 92} == there(h, connection)
    h.people(91, 92, stage="churned")
    h.sync()
    assert {0, 2, 3, 4, 5, 91, 92} == there(h, connection), "who is theirs stays"
    h.clock.advance(hours=1)
    assert 0 == h.run("drift").code


def test_a_reading_that_is_cut_short_changes_nothing(shared: tuple[House, str, str]) -> None:
    h, connection, _ = shared
    served = h.served[connection]
    ledger = h.ask("SELECT member_key, state, at FROM ledger ORDER BY 1")
    for spoiler in (FORBIDDEN, Truncated()):
        served.faults = lambda method, path, _n, spoiler=spoiler: (
            spoiler if method == "GET" and not path.rstrip("/").endswith(("details", "users/me", "ping", "lists")) else None
        )
        said = h.run("drift", "--repair", "--yes", "--json", code=1).json
        served.faults = None
        assert said["audiences"][0]["error"]
        assert ledger == h.ask("SELECT member_key, state, at FROM ledger ORDER BY 1")
    assert 0 == h.run("drift").code


def test_a_sync_that_is_gone_is_taken_out_and_put_back(shared: tuple[House, str, str]) -> None:
    h, connection, _ = shared
    refused = h.run("retire", "vips", "--remove", "--yes", code=2)
    assert "is in the config" in refused.err
    h.write_config(VIP)
    shown = h.run("retire", "vips", "--json").json["retired"][0]
    assert (6, 2) == (shown["removes"], shown["theirs"])
    assert 1 == h.run("retire", "vips", "--remove", code=1).code, "nobody said yes"
    assert {*range(6), 90, 91} == there(h, connection)

    done = h.run("retire", "vips", "--remove", "--yes", "--json").json["retired"][0]
    assert (0, None) == (done["left"], done["error"])
    assert {90, 91} == there(h, connection)
    assert [] == h.run("retire", "--json").json["retired"]

    h.write_config(VIP, vips_to(*shared[1:]))
    h.sync()
    assert {*range(6), 90, 91} == there(h, connection)


@pytest.mark.parametrize("baseline", ["adopt", "replace"])
def test_who_was_there_is_adopted_or_replaced(house: Callable[..., House], baseline: str) -> None:
    h = house("crm", "mail")
    h.people(0, 1, 91)
    h.people(90, stage="lead")
    h.boxes["mail"].load("members", [h.member(99)])  # nobody that the CRM knows
    h.write_config(VIP, vips_to("mail", "tag", baseline=baseline))
    by_hand(h, "mail", "tag", put=[90, 91, 99])
    h.run("pull")

    planned = h.run("plan", "--members", code=0 if baseline == "adopt" else 4)
    if baseline == "replace":
        assert "would remove 2 who were there before us" in planned.out
        h.sync(code=4)
        assert {0, 1, 90, 91, 99} == there(h, "mail")
        assert "2 removals let through" in h.run("approve", "vips").out
        assert {0, 1, 91} == there(h, "mail")
    else:
        h.sync()
        assert {0, 1, 90, 91, 99} == there(h, "mail")
    h.people(91, stage="lead")
    h.sync()
    assert ({0, 1} if baseline == "replace" else {0, 1, 90, 99}) == there(h, "mail")


def test_most_of_a_list_missing_is_asked_about(house: Callable[..., House]) -> None:
    h = house("crm", "mail")
    h.people(*range(12))
    h.write_config(VIP, VIPS_TO_MAIL)
    h.sync()
    h.clock.advance(hours=1)
    by_hand(h, "mail", "tag", out=range(10))

    assert "Believe it" in h.run("drift", "--repair", code=1).err
    assert [(12,)] == h.ask("SELECT count(*) FROM ledger WHERE state = 'ours'")
    h.run("drift", "--repair", "--yes")
    h.sync()
    assert set(range(12)) == there(h, "mail")
    h.run("drift", "--yes", code=2)
    h.run("retire", "--remove", code=2)
