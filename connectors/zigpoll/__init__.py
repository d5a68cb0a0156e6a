"""
Zigpoll, as a source of surveys: every answer to every poll, with its slide's title. Nothing is written at Zigpoll.

The stream is in `responses`, lists and their envelopes in `listing`, what polls are called in `polls`, what an answer means and
whose it is in `answers`.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from pydantic import SecretStr, field_validator

from connectors.zigpoll.answers import Who
from connectors.zigpoll.checks import account, check
from connectors.zigpoll.responses import responses
from core.contract import Category, Erasure, HeaderKey, Limit, Manifest, ResponseView, Stream
from core.contract import Settings as BaseSettings
from core.errors import AuthError, ConnectorError

__all__ = ["ERASURE", "MANIFEST", "Settings", "account", "auth", "check", "classify", "streams"]

MANIFEST = Manifest(
    name="zigpoll",
    title="Zigpoll",
    category=Category.SURVEY,
    base_url="https://v1.zigpoll.com",
    hosts=("v1.zigpoll.com",),
    docs_url="https://apidocs.zigpoll.com",
    api_version="v1",  # it is in the host's name
    limits=[Limit(2, per_s=1)],  # Quirk 3: no figure is published; this one is ours
    checked_on=date(2026, 11, 22),
)

ERASURE = Erasure(
    "deletes the participant's responses",
    docs_url=MANIFEST.docs_url,
    by_hand="the poll > Responses > the response > Delete",
)
"""By hand alone: a person does it in the vendor's own pages."""


class Settings(BaseSettings):
    """One private key; it shows all accounts of its user."""

    api_key: SecretStr
    """Settings > Integrations > Private keys. Sent as it is, without `Bearer`."""
    user_id_keys: tuple[str, ...] = ("user_id",)
    """Keys of a response's metadata that hold your product's user id, the best first."""
    email_keys: tuple[str, ...] = ("email", "customer_email")
    """Keys of a response's metadata that hold the person's address, the best first."""

    @field_validator("api_key", mode="before")
    @classmethod
    def _alone(cls, value: object) -> object:
        if isinstance(value, str) and value.strip().lower().startswith("bearer"):
            raise ValueError("leave out `Bearer`: Zigpoll takes the key alone")
        return value


def auth(settings: Settings) -> HeaderKey:
    """Return the key as the whole header (Quirk 2)."""
    return HeaderKey("Authorization", settings.api_key)


def streams(settings: Settings) -> Iterable[Stream]:
    """Return the stream of answers."""
    yield responses(Who(settings.user_id_keys, settings.email_keys))


def classify(response: ResponseView) -> ConnectorError | None:
    """Take a 422 of `/me` for what it is: it has no parameters that could be wrong (Quirk 2)."""
    if response.status == 422 and response.path.partition("?")[0] == "/me":
        return AuthError("the key was refused: it is wrong, was deleted, or has something before it", code="422")
    return None
