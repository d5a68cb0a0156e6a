"""
No credential leaves the process but in a request to its vendor, and no address of a person in a log or an error.

Every credential is planted. Whatever is printed, logged, raised or written is searched for them, in the spellings in which they
travel, while everything goes well and while the vendors answer with their worst.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest
from house import BILLING_KEY, CRM_TOKEN, MAIL_KEY, VIP, VIPS_TO_MAIL, House

from core.contract import Fault
from core.sandbox import Reset, Spoiler, Truncated
from core.store import Store

CANARIES = (CRM_TOKEN, BILLING_KEY, MAIL_KEY)
PAYING = "\n[segments.paying]\nwhere = 'paying and lifecycle_stage == \"customer\"'\n"
PAYING_TO_CRM = """[[syncs]]
name = "paying_to_crm"
segment = "paying"
to = "crm"
audience = { list = "Paying" }
"""
VERBS = (
    ("status",), ("runs",), ("dead-letters",), ("segments",), ("segments", "vip", "--members"), ("plan", "--members"),
    ("person", "person1@example.com"), ("fields",), ("connectors",), ("retire",),
)  # fmt: skip


def spellings(secret: str) -> set[str]:
    """Return how a secret may be written: as it is, quoted, in base64 alone or as a password, and any large part of it."""
    whole = {secret, quote(secret, safe=""), secret.encode().hex(), *(secret[i : i + 12] for i in range(len(secret) - 11))}
    for user in ("", "anystring:", "tagalong:", ":", f"{secret}:"):
        text = f"{user}{secret}" if not user.startswith(secret) else user
        whole.add(base64.b64encode(text.encode()).decode().rstrip("="))
    return whole


NEEDLES = {needle for secret in CANARIES for needle in spellings(secret)}


def leaks(text: str) -> set[str]:
    return {needle for needle in NEEDLES if needle in text}


def assert_nothing_leaked(h: House) -> None:
    for said in h.said:
        assert not leaks(said), said
    for told in h.errors:
        assert "@example.com" not in told and "%40example.com" not in told, told
    for path in h.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for needle in NEEDLES:
                assert needle.encode() not in content, f"{path.name} holds {needle}"
    if h.database.exists():
        with Store(h.database, read_only=True) as store:
            for sql in (
                "SELECT error FROM runs",
                "SELECT error FROM streams",
                "SELECT reason FROM dead_letters",
                "SELECT reason || facts FROM holds",
            ):
                for (text,) in store.conn.execute(sql):
                    assert "@" not in (text or ""), f"{sql}: {text}"


def furnished(house: Callable[..., House]) -> House:
    h = house("crm", "billing", "mail")
    h.people(*range(12))
    h.customers(*range(8))
    h.write_config(VIP, PAYING, VIPS_TO_MAIL, PAYING_TO_CRM)
    return h


def test_no_secret_shows_while_all_goes_well(house: Callable[..., House]):
    h = furnished(house)

    h.run("-vv", "check")
    h.run("-vv", "check", "--json")
    h.run("-vv", "pull")
    for form in ((), ("--json",)):
        h.run("-vv", "plan", *form)
        h.sync("-vv") if form else h.run("-vv", "sync")
        for verb in VERBS:
            h.run("-vv", *verb, *form)

    assert any("request_sent" in told for told in h.errors), "the log was not as loud as it gets"
    assert 12 == len(h.tagged())
    assert 8 == len(h.tagged("Paying", "crm"))
    assert_nothing_leaked(h)


def parrot(status: int) -> Callable[[str], Fault]:
    """A vendor that says our own credentials and people back to us, in every place where it can."""

    def fault(secret: str) -> Fault:
        encoded = base64.b64encode(f"anystring:{secret}".encode()).decode()
        body = {
            "status": "error", "message": f"the key {secret} of person3@example.com is wrong", "category": secret,
            "error": {"message": f"Invalid API Key provided: {secret} (person3@example.com)", "type": secret, "code": secret},
            "title": secret, "detail": f"{secret} {encoded} person3@example.com", "correlationId": secret, "code": secret,
            "errors": [{"message": secret, "email_address": "person3@example.com", "error": secret, "context": {"id": secret}}],
        }  # fmt: skip
        headers = {
            "content-type": "application/json", "x-request-id": secret, "request-id": secret, "x-correlation-id": secret,
            "www-authenticate": f"Basic {encoded}", "x-echo": f"Bearer {secret}", "set-cookie": f"key={secret}",
        }  # fmt: skip
        return Fault(status, headers, json.dumps(body).encode())

    return fault


def page(status: int) -> Callable[[str], Fault]:
    def fault(secret: str) -> Fault:
        text = f"<html><title>{secret}</title><body>Authorization: Bearer {secret} person3@example.com</body></html>"
        return Fault(status, {"content-type": "text/html; charset=utf-8"}, text.encode())

    return fault


def elsewhere(secret: str) -> Fault:
    return Fault(302, {"location": f"https://thief.example.com/?key={secret}&who=person3@example.com"}, b"")


WORST: dict[str, Callable[[str], Spoiler]] = {
    **{f"{status} that says it all back": parrot(status) for status in (200, 400, 401, 403, 404, 429, 500)},
    "HTML with 200": page(200),
    "HTML with 403": page(403),
    "a redirect to another host": elsewhere,
    "connection lost": lambda secret: Reset(),
    "half of the JSON": lambda secret: Truncated(0.6),
}


def test_no_secret_and_no_address_shows_when_vendors_do_their_worst(house: Callable[..., House]):
    h = furnished(house)
    h.run("pull")
    h.people(20, 21)
    secrets = {"crm": CRM_TOKEN, "billing": BILLING_KEY, "mail": MAIL_KEY}

    for worst, spoiler in WORST.items():
        for name, served in h.served.items():
            spoiled = spoiler(secrets[name])
            served.faults = lambda *_, spoiled=spoiled: spoiled
        before = {name: h.requests(name) for name in h.served}
        checked = h.run("-vv", "check", "--json", code=1)
        h.run("-vv", "sync", "--no-pull", code=None)
        h.run("-vv", "pull", code=None)

        assert not checked.json["ok"]
        assert all(h.requests(name) > before[name] + 1 for name in h.served), worst
    h.run("-vv", "status", "--json", "--check", code=1)
    h.run("runs", "--limit", "100")
    assert_nothing_leaked(h)

    for served in h.served.values():
        served.faults = None
    h.clock.advance(days=1)
    h.run("-vv", "sync", code=(0, 3))
    assert 14 == len(h.tagged())


def test_a_fault_of_our_own_shows_no_values(house: Callable[..., House], monkeypatch: pytest.MonkeyPatch):
    """The text of an unforeseen error may hold anything; with -vv its traceback goes out, without what is secret."""
    h = furnished(house)
    h.run("pull")

    def broken(*_: object, **__: object) -> None:
        raise ValueError(f"bad value {CRM_TOKEN} of person3@example.com")

    monkeypatch.setattr("core.evaluated.evaluate", broken)
    for flags in ((), ("-vv",), ("--json",), ("-vv", "--json")):
        assert "unexpected ValueError" in h.run(*flags, "sync", "--no-pull", code=1).err

    monkeypatch.setattr("core.pulling.fill.pull_connection", broken)
    h.run("-vv", "pull", code=1)
    h.run("-vv", "runs", "--json")
    h.run("-vv", "status", "--json")
    assert_nothing_leaked(h)


def test_a_missing_secret_names_its_variable_and_nothing_is_sent(house: Callable[..., House]):
    h = furnished(house)
    del h.environ["MAIL_KEY"]

    checked = h.run("check", "--json", code=1)
    h.run("pull", "crm")
    pulled = h.run("pull", "mail", code=1)

    assert "MAIL_KEY" in checked.out
    assert "MAIL_KEY" in pulled.out + pulled.err
    assert 0 == h.requests("mail")
    assert_nothing_leaked(h)


WRITTEN = {
    "beside an unknown key": 'token = "{0}"\ntokne = "{0}"',
    "in a list": 'token = ["{0}"]',
    "in a table": 'token = {{ enf = "{0}" }}',
    "in a string without an end": 'token = "{0}',
    "twice in a line": 'token = "{0}" "{0}"',
    "twice": 'token = "{0}"\ntoken = "{0}"',
    "with an end of line, which no header may have": 'token = "{0}\\n"',
}


@pytest.mark.parametrize("written", WRITTEN)
def test_a_config_that_is_wrong_does_not_say_the_secret_written_in_it(house: Callable[..., House], written: str):
    h = house()
    nobody = 'connector = "hubspot"\nbase_url = "http://127.0.0.1:9"\n'
    h.path.write_text(f"[connections.crm]\n{nobody}{WRITTEN[written].format(CRM_TOKEN)}\n")

    for flags in (("--json",), ("-vv",)):
        h.run(*flags, "check", code=(1, 2))
        h.run(*flags, "pull", code=(1, 2))

    assert all(not leaks(said) for said in h.said), h.said


def test_a_setting_from_the_environment_is_as_secret(house: Callable[..., House]):
    h = furnished(house)
    h.environ["TAGALONG_CONNECTIONS__CRM__TOKEN"] = f"other-{CRM_TOKEN}"

    assert not h.run("-vv", "check", "crm", "--json", code=1).json["ok"]
    h.run("-vv", "pull", "crm", code=1)
    h.environ["TAGALONG_CONNECTIONS__CRM__TOKN"] = CRM_TOKEN
    h.run("-vv", "pull", "crm", code=None)

    assert_nothing_leaked(h)
