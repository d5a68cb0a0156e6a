"""A small Google Analytics: one property, its reports of what it was loaded with, its quotas, and the token server."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from core.contract import Ask, Desk, Endpoint, Refused, Reply, Sandbox, Unwelcome, make_app

PROPERTY, PARAMETER, SERVICE = "123456789", "crm_id", "tagalong@sandbox.iam.example.com"
MOST_ROWS = 250_000
SCOPE = "https://www.googleapis.com/auth/analytics.readonly"


@lru_cache(maxsize=1)
def _private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class GoogleAnalyticsSandbox(Sandbox):
    """
    The vendor.

    Args:
        rate_factor: times the property's tokens of an hour and of a day.
        zone: the property's time zone.
        viewer: whether the account that signs in may see the property.
        enabled: whether the API is enabled in the Cloud project.
        flags: what the metadata of each report says of its quality.
        says: the message of a 429 with which reports are answered instead.
    """

    base_path: ClassVar[str] = "/v1beta"
    tells_events: ClassVar[bool] = False

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        rate_factor: float = 1.0,
        zone: str = "Europe/Stockholm",
        viewer: bool = True,
        enabled: bool = True,
        flags: Mapping[str, object] | None = None,
        says: str | None = None,
    ) -> None:
        super().__init__(now=now)
        self.zone, self.viewer, self.enabled, self.flags, self.says = zone, viewer, enabled, dict(flags or {}), says
        self.tokens = {"tokensPerDay": 200_000 * rate_factor, "tokensPerHour": 40_000 * rate_factor}
        self.tokens["tokensPerProjectPerHour"] = 14_000 * rate_factor
        self.desk = Desk(lambda: self.now(), more={"scope": SCOPE})
        self.sums: Counter[tuple[str, str, str]] = Counter()
        """By date (YYYYMMDD), name of event and user id."""
        self._loaded: set[str] = set()
        self._minted: set[str] = set()
        endpoints = [
            Endpoint("POST", "/token", self._token),
            Endpoint("GET", "/o/oauth2/v2/auth", self._authorize),
            Endpoint("GET", "/v1beta/properties/{property}/metadata", self._metadata),
            Endpoint("POST", "/v1beta/properties/{property}:runReport", self._report),
        ]
        self.app = make_app(self, endpoints, self._admit)

    def settings(self) -> Mapping[str, object]:
        """Return the settings of a person who has signed in before."""
        where = {"response_type": "code", "client_id": self.desk.client_id, "redirect_uri": "http://127.0.0.1/"}
        code = parse_qs(urlsplit(self.desk.authorize(where)).query)["code"][0]
        client = {"client_id": self.desk.client_id, "client_secret": self.desk.client_secret}
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": where["redirect_uri"], **client}
        return {**self._place(), **client, "refresh_token": self.desk.token(form)["refresh_token"]}

    def _place(self) -> dict[str, object]:
        return {"property_id": PROPERTY, "user_dimension": PARAMETER, "start": "2024-01-01"}

    def service_settings(self) -> Mapping[str, object]:
        """Return the settings with a service account's key file."""
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        pem = _private_key().private_bytes(*form).decode()
        file = {"type": "service_account", "client_email": SERVICE, "private_key": pem, "private_key_id": "k1"}
        return {**self._place(), "service_account": json.dumps(file)}

    def oauth_settings(self) -> Mapping[str, object]:
        """Return what `settings` does, for a connection that signs in."""
        return {**self._place(), "client_id": self.desk.client_id, "client_secret": self.desk.client_secret}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        if what not in ("users", "events"):
            raise KeyError(what)
        for row in rows if what == "events" else ():
            if row["id"] not in self._loaded:
                self._loaded.add(row["id"])
                day = row["at"].astimezone(ZoneInfo(self.zone))
                self.sums[f"{day:%Y%m%d}", row["name"], row["user_id"] or "(not set)"] += 1

    def delete(self, what: str, ids: Iterable[str]) -> None:
        """Delete users: their sums stay, as they do at Google."""

    def _authorize(self, ask: Ask) -> Reply:
        return Reply(status=302, headers={"location": self.desk.authorize(dict(ask.query))})

    def _token(self, ask: Ask) -> Reply:
        form = ask.form()
        try:
            if form.get("grant_type") == "urn:ietf:params:oauth:grant-type:jwt-bearer":
                return Reply(self._mint(form.get("assertion", "")))
            return Reply(self.desk.token(form))
        except Unwelcome as error:
            raise Refused(400, {"error": str(error), "error_description": "Bad Request"}) from None

    def _mint(self, assertion: str) -> dict[str, object]:
        head, claims, signature = (base64.urlsafe_b64decode(part + "==") for part in (assertion.split(".") + [""] * 3)[:3])
        try:
            signed = assertion.rpartition(".")[0].encode()
            _private_key().public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            raise Unwelcome("invalid_grant") from None
        said, kid = json.loads(claims), json.loads(head).get("kid")
        right = (SERVICE, SCOPE, "https://oauth2.googleapis.com/token", "k1")
        if (said.get("iss"), said.get("scope"), said.get("aud"), kid) != right or not said["iat"] < said["exp"] <= said[
            "iat"
        ] + 3600:
            raise Unwelcome("invalid_grant")
        token = f"ya29.sandbox-{len(self._minted)}"
        self._minted.add(token)
        return {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}

    def _admit(self, ask: Ask) -> None:
        if not ask.path.startswith("/v1beta/"):
            return
        token = ask.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self._minted and not self.desk.welcomes(token):
            raise _refused(401, "UNAUTHENTICATED", "Request had invalid authentication credentials.")
        if not self.enabled:
            raise _refused(
                403, "PERMISSION_DENIED", "Google Analytics Data API has not been used in project 1 or it is disabled."
            )
        if not self.viewer or ask.params["property"] != PROPERTY:
            raise _refused(403, "PERMISSION_DENIED", "User does not have sufficient permissions for this property.")

    def _metadata(self, ask: Ask) -> Reply:
        names = ["date", "eventName", f"customUser:{PARAMETER}"]
        metrics = [{"apiName": name} for name in ("eventCount", "sessions", "screenPageViews")]
        name = f"properties/{PROPERTY}/metadata"
        return Reply({"name": name, "dimensions": [{"apiName": each} for each in names], "metrics": metrics})

    def _report(self, ask: Ask) -> Reply:
        asked = ask.json()
        if self.says is not None:
            raise _refused(429, "RESOURCE_EXHAUSTED", self.says)
        names = [one["name"] for one in asked.get("dimensions", ())]
        if any(name not in ("date", "eventName", f"customUser:{PARAMETER}") for name in names):
            raise _refused(400, "INVALID_ARGUMENT", "Field is not a valid dimension.")
        limit, offset = int(asked.get("limit", 10_000)), int(asked.get("offset", 0))
        if not 0 < limit <= MOST_ROWS:
            raise _refused(400, "INVALID_ARGUMENT", "limit is out of range.")
        found = self._sums(asked, names)
        page = found[offset : offset + limit]
        for name in self.tokens:
            self.tokens[name] -= 3
        body = self._answer(asked, names, page, len(found))
        return Reply(body)

    def _sums(self, asked: Mapping[str, Any], names: list[str]) -> list[tuple[list[str], int]]:
        (span,) = asked["dateRanges"]
        today = self.now().astimezone(ZoneInfo(self.zone)).date()
        first, last = (_day(span[key], today) for key in ("startDate", "endDate"))
        found: Counter[tuple[str, ...]] = Counter()
        for (day, event, user), count in self.sums.items():
            if f"{first:%Y%m%d}" <= day <= f"{last:%Y%m%d}" and not (asked.get("dimensionFilter") and user == "(not set)"):
                values = {"date": day, "eventName": event, f"customUser:{PARAMETER}": user}
                found[tuple(values[name] for name in names)] += count
        listed = [(list(key), count) for key, count in found.items()]
        # without an order Google promises none, and ours is another one each time
        return (
            sorted(listed) if asked.get("orderBys") else sorted(listed, key=lambda _: self.requests.total() % 7, reverse=True)
        )

    def _answer(
        self, asked: Mapping[str, Any], names: list[str], page: list[tuple[list[str], int]], count: int
    ) -> dict[str, Any]:
        metrics = [one["name"] for one in asked["metrics"]]
        body: dict[str, Any] = {
            "dimensionHeaders": [{"name": name} for name in names],
            "metricHeaders": [{"name": name, "type": "TYPE_INTEGER"} for name in metrics],
            "rowCount": count,
            "metadata": {"currencyCode": "EUR", "timeZone": self.zone, **self.flags},
            "kind": "analyticsData#runReport",
        }
        if page:  # else there is no key
            body["rows"] = [
                {"dimensionValues": [{"value": v} for v in values], "metricValues": [{"value": str(n)} for _ in metrics]}
                for values, n in page
            ]
        if asked.get("returnPropertyQuota"):
            body["propertyQuota"] = {name: {"consumed": 3, "remaining": int(left)} for name, left in self.tokens.items()}
        return body


def _day(text: str, today: date) -> date:
    return today - timedelta(days=1) if text == "yesterday" else date.fromisoformat(text)


def _refused(status: int, word: str, message: str) -> Refused:
    return Refused(status, {"error": {"code": status, "message": message, "status": word, "details": []}})


SANDBOX = GoogleAnalyticsSandbox
