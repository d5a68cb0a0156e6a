"""Somebody is forgotten in a house with a CRM, an e-mail tool, a billing tool and files."""

from __future__ import annotations

from collections.abc import Callable

from house import CRM_TOKEN, VIP, VIPS_TO_MAIL, House, address

from core.contract import Fault

DOWN = Fault(503, {}, b"")
FILES = """
[connections.lists]
connector = "files"
folder = "out"
[connections.lists.streams.partners]
path = "partners.csv"
kind = "profile"
key = "email"
identifiers = { email = "email" }
fields = { first_name = "name" }
"""
VIPS_TO_FILE = (
    '[[syncs]]\nname = "vips_file"\nsegment = "vip"\nto = "lists"\naudience = { file = "vips" }\ncolumns = ["email"]\n'
)
VIPS_TO_CRM = '[[syncs]]\nname = "vips_crm"\nsegment = "vip"\nto = "crm"\naudience = { list = "Vips" }\n'


def _living(house: House) -> None:
    house.people(1, 2, 3, 4)
    house.customers(2, 3)
    house.write("partners.csv", "email,name\n" + "".join(f"{address(n)},Given{n}\n" for n in (1, 2, 3)))
    house.write_config(FILES, VIP, VIPS_TO_MAIL, VIPS_TO_FILE, VIPS_TO_CRM)
    house.sync()
    assert {address(n) for n in (1, 2, 3, 4)} == house.tagged()


def _bytes(house: House) -> bytes:
    return b"".join(path.read_bytes() for path in house.folder.glob("tagalong.db*"))


def test_somebody_is_forgotten_everywhere(house: Callable[..., House]) -> None:
    """Out of the tag, the list and the file; erased at the e-mail tool and, as asked for, at the CRM; by hand at the rest."""
    h = house("crm", "mail", "billing")
    _living(h)
    made = h.run("forget", address(2), "--yes", "--everywhere", "--json").json["certificate"]

    others = {address(n) for n in (1, 3, 4)}
    assert others == h.tagged()
    assert address(2) in h.boxes["crm"].state.blocked
    assert "1002" not in h.boxes["crm"].state.objects["contacts"]
    assert address(2) not in h.boxes["mail"].statuses()
    assert address(2) not in (h.folder / "out" / "vips.csv").read_text()
    deeds = {one["connection"]: one for one in made["connections"]}
    assert {"crm", "mail", "lists"} == deeds.keys()
    assert ["erased", "erased"] == [deeds[name]["erasure"]["did"] for name in ("crm", "mail")]
    assert {"removed"} == {audience["did"] for one in deeds.values() for audience in one["audiences"]}
    left = {one["connection"]: one for one in made["by_hand"]}
    assert {"billing", "lists"} == left.keys()
    assert "partners.csv" in left["lists"]["what"]
    assert left["billing"]["docs_url"].startswith("https://docs.stripe.com")
    for telling in (address(2), "Given2", "cus_2", "sub_2"):
        assert telling.encode() not in _bytes(h)

    # the billing tool and the file still have them
    h.sync()
    h.run("pull", "--full")
    for telling in (address(2), "cus_2", "sub_2"):
        assert telling.encode() not in _bytes(h)
    assert others == h.tagged()
    assert [(3,)] == h.ask("SELECT count(*) FROM profiles WHERE live = 1")


def test_a_crm_is_left_alone_unless_asked_for(house: Callable[..., House]) -> None:
    """What a person is at the CRM is other people's work: it is listed, not deleted."""
    h = house("crm", "mail", "billing")
    _living(h)
    made = h.run("forget", address(2), "--yes", "--json").json["certificate"]
    assert "1002" in h.boxes["crm"].state.objects["contacts"]
    assert address(2) not in h.boxes["mail"].statuses()
    told = next(one for one in made["by_hand"] if one["connection"] == "crm")
    assert "--everywhere" in told["what"]
    h.sync()
    assert address(2).encode() not in _bytes(h)

    # asked for afterwards, by the address that was typed: nothing else of them is known any more
    h.served["crm"].faults = lambda method, path, number: DOWN
    assert ["crm"] == list(h.run("forget", address(2), "--everywhere", "--yes", "--json", code=1).json["not_asked"])
    h.served["crm"].faults = None
    made = h.run("forget", address(2), "--everywhere", "--yes", "--json").json["certificate"]
    assert "1002" not in h.boxes["crm"].state.objects["contacts"]
    assert "erased" == next(one for one in made["connections"] if one["connection"] == "crm")["erasure"]["did"]
    assert {"billing", "lists"} == {one["connection"] for one in made["by_hand"]}
    assert made == h.run("forget", "crm.contact_id:1002", "--yes", "--json").json["certificate"]
    assert 1 == h.run("forget", "crm.contact_id:1002", "--lift", "--json").json["lifted"]


def test_a_vendor_that_is_away_leaves_it_open(house: Callable[..., House]) -> None:
    """The certificate says so, exit 1; the same command goes on when it is back."""
    h = house("crm", "mail")
    _living_without_billing(h)
    h.served["mail"].faults = lambda method, path, number: DOWN if path.endswith("/delete-permanent") else None
    said = h.run("forget", address(2), "--yes", "--json", code=1)
    assert not said.json["ok"]
    assert ["mail"] == list(said.json["not_asked"])
    assert "done_at" not in said.json["certificate"]
    h.sync()
    assert address(2) not in h.tagged()
    h.served["mail"].faults = None
    assert h.run("forget", address(2), "--yes", "--json").json["certificate"]["done_at"]
    assert address(2).encode() not in _bytes(h)
    assert CRM_TOKEN not in "".join(h.said)


def _living_without_billing(house: House) -> None:
    house.people(1, 2, 3)
    house.write_config(VIP, VIPS_TO_MAIL)
    house.sync()
