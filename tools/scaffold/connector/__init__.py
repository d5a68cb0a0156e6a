"""
Acme: contacts are pulled with their consent, tags are pushed.

Here is who the vendor is and how it is signed in to; `contacts.py` is the stream, `tags.py` the audience.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from pydantic import SecretStr

from connectors.acme.contacts import STREAMS
from connectors.acme.tags import AUDIENCES
from core.contract import Api, Bearer, Category, CheckStep, Erasure, Limit, Manifest, Step, check_steps
from core.contract import Settings as BaseSettings

__all__ = ["AUDIENCES", "ERASURE", "MANIFEST", "STREAMS", "Settings", "account", "auth", "check"]

MANIFEST = Manifest(
    name="acme",
    title="Acme",
    category=Category.EMAIL,
    base_url="https://api.acme.example/v1",
    hosts=("api.acme.example",),
    docs_url="https://docs.acme.example/v1",
    api_version="v1",
    limits=[Limit(10, per_s=1, concurrency=2)],  # docs_url/limits
    checked_on=date(2026, 1, 31),
    scopes={"contacts.read": "to pull contacts", "tags.write": "to push tags"},
)

ERASURE = Erasure(
    "deletes the contact for good",
    docs_url="https://docs.acme.example/v1/contacts/delete",
    by_hand="Contacts > the contact > Delete",
)
"""What a person is told who is to forget somebody; `erase` beside it would do it."""


class Settings(BaseSettings):
    """The keys of a `[connections.NAME]` table with `connector = "acme"`."""

    token: SecretStr
    """Settings > API > New token."""


def auth(settings: Settings) -> Bearer:
    """A token that does not end (docs_url/auth)."""
    return Bearer(settings.token)


def account(api: Api) -> str:
    """Return the id of the account: a token of another one never inherits a ledger (docs_url/account)."""
    return str(api.get("/account")["id"])


def check(api: Api) -> Iterator[CheckStep]:
    """Sign in, and read and see what the streams and audiences need."""
    return check_steps(
        api,
        (
            Step("authenticate", account, "Make a new token (Settings > API > New token) and set it as `token`."),
            Step("read contacts", _read_contacts, "Give the token the scope contacts.read."),
        ),
    )


def _read_contacts(api: Api) -> str:
    api.get("/contacts", limit=1)
    return ""
