"""A made-up vendor with everything that a config can get wrong: secrets at depths, events, two kinds of audience."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from core import contract
from core.contract import Api, Audience, AudienceSet, Bearer, Category, Kind, Manifest, Page, Params, StreamSet

MANIFEST = Manifest(
    name="globex",
    title="Globex",
    category=Category.CRM,
    base_url="https://api.globex.test/v1",
    hosts=("globex.test",),
    docs_url="https://docs.globex.test",
    api_version="v1",
    checked_on=date(2026, 1, 15),
)
STREAMS = StreamSet()
AUDIENCES = AudienceSet()


class Deep(BaseModel):
    model_config = ConfigDict(extra="forbid")

    key: SecretStr | None = None
    size: int = 1


class Settings(contract.Settings):
    token: SecretStr
    """Its text says where it lives."""
    region: Literal["eu", "us"] = "eu"
    deep: Deep = Deep()
    more: dict[str, SecretStr] = Field(default_factory=dict)

    @field_validator("token")
    @classmethod
    def _has_a_prefix(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().startswith("globex-"):
            raise ValueError("the token does not begin with globex-")
        return value


def auth(settings: Settings) -> Bearer:
    return Bearer(settings.token)


def account(api: Api) -> str:
    return "globex-1"


@STREAMS.add("people", kind=Kind.PROFILE, key="id", identifiers={"email": "email"})
def people(api: Api, cursor: object, resume: str | None) -> Iterator[Page]:
    yield Page([])


@STREAMS.add("clicks", kind=Kind.EVENT, key="id", lookback=timedelta(minutes=1))
def clicks(api: Api, cursor: object, resume: str | None) -> Iterator[Page]:
    yield Page([])


class CampaignParams(Params):
    campaign: int = 0


@AUDIENCES.add("tag")
class Tag(Audience):
    def check_name(self, name: str) -> str | None:
        return "longer than 20 characters" if len(name) > 20 else None


@AUDIENCES.add("list")
class List(Audience):
    Params = CampaignParams

    def create_people(self, api: Api, people: object) -> list[object]:
        return []
