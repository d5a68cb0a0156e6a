"""
Acme: a made-up vendor for tests of the core, shaped like a connector's folder. Its sandbox does what a test asks of it.

Contacts page by page, lists that can be added to, plain endpoints that echo, an export as lines and as a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

from pydantic import SecretStr

from core.contract import (
    Api,
    Audience,
    AudienceSet,
    Auth,
    Bearer,
    Category,
    Change,
    Deletions,
    Kind,
    Limit,
    Manifest,
    Outcome,
    Page,
    Ref,
    ResponseView,
    StreamSet,
    Verdict,
)
from core.contract import Settings as BaseSettings
from core.errors import ConnectorError, QuotaExhausted, RateLimited

PAGE_SIZE = 100

MANIFEST = Manifest(
    name="acme", title="Acme Mail", category=Category.EMAIL, base_url="https://api.acme.test/v2", hosts=("acme.test",),
    docs_url="https://docs.acme.test/v2", api_version="v2", checked_on=date(2026, 1, 15), limits=[Limit(1000, per_s=1)],
)  # fmt: skip

STREAMS = StreamSet()
AUDIENCES = AudienceSet()


class Settings(BaseSettings):
    token: SecretStr = SecretStr("acme-token-for-tests")


def auth(settings: Settings) -> Auth:
    return Bearer(settings.token)


def account(api: Api) -> str:
    return str(api.get("/account")["id"])


def classify(response: ResponseView) -> ConnectorError | None:
    """Acme says "slow_down" with a 400, and "daily_quota" with a 200 that holds the time at which it ends."""
    body = response.json() if response.status in (200, 400) and '"code"' in response.text else None
    said = body if isinstance(body, dict) else {}
    code = said.get("code")
    if code == "slow_down":
        return RateLimited("slow down", code=code)
    if code == "daily_quota":
        return QuotaExhausted("the day's requests are used up", resume_at=datetime.fromisoformat(said["until"]))
    return None


@STREAMS.add(
    "contacts", kind=Kind.PROFILE, key="id", order="asc", lookback=timedelta(minutes=10), deletions=Deletions.ABSENCE,
    identifiers={"email": "email"}, fields={"email": "email", "first_name": "first_name", "country": "address.country"},
)  # fmt: skip
def contacts(api: Api, cursor: datetime | None, resume: str | None) -> Iterator[Page]:
    """Contacts, oldest change first."""
    token = resume
    while True:
        body = api.get("/contacts", limit=PAGE_SIZE, updated_since=cursor, cursor=token)
        token = body["next"]
        records = body["contacts"]
        latest = max((datetime.fromisoformat(record["updated_at"]) for record in records), default=None)
        yield Page(records, cursor=latest and latest.astimezone(UTC), resume=token)
        if token is None:
            return


@AUDIENCES.add("list")
class ContactList(Audience):
    """Adding twice is adding once."""

    max_batch = 50
    repeat = "safe"

    def lookup(self, api: Api, name: str) -> str | None:
        return next((found["id"] for found in api.get("/lists", name=name)["lists"]), None)

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        return str(api.post("/lists", json={"name": name})["id"])

    def find(self, api: Api, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
        found = api.post("/contacts/find", json={"emails": list(keys)}, repeat=True)["found"]
        return {key: [Ref(remote_id) for remote_id in found.get(key, [])] for key in keys}

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        refs = [*(change.ref for change in adds), *removes]
        body = api.post(
            f"/lists/{audience_id}/members",
            json={"add": [change.ref.remote_id for change in adds], "remove": [ref.remote_id for ref in removes]},
        )
        done, unknown = set(body["done"]), set(body["unknown"])
        return [
            Outcome(
                ref,
                Verdict.DONE if ref.remote_id in done else Verdict.NOT_FOUND if ref.remote_id in unknown else Verdict.RETRY,
            )
            for ref in refs
        ]

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]]:
        yield [Ref(remote_id) for remote_id in api.get(f"/lists/{audience_id}/members")["members"]]
