"""
Typeform on loopback: forms, their definitions, their answers newest first, workspaces, and the authorization server.

It is as strict as the vendor: two requests a second, tokens never together with dates or a sort, scopes, page sizes. What the
vendor's pages leave open is a switch of the constructor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from connectors.typeform.sandbox_state import FormState, State
from core.contract import Ask, Desk, Endpoint, Json, Refused, Reply, Sandbox, Unwelcome, Window, make_app

TOKEN: Final = "tfp_sandbox0123456789abcdefghijklmnop"
ACCOUNT: Final = "01HTYPEFORMSANDBOX00000000"
PER_S: Final = 2
MOST_FORMS, MOST_RESPONSES = 200, 1000
SCOPES: Final = frozenset({"forms:read", "responses:read", "workspaces:read"})


class TypeformSandbox(Sandbox):
    """
    An account.

    Args:
        rate_factor: times the two requests a second.
        lag: how long an answer is not listed after it was sent ("30 minutes may be missing").
        titles: whether answers carry the titles of their questions.
        total_extra: by how much `total_items` of answers says too much.
        unknown_refused: whether a `before` that is not there any more is refused; else nothing comes after it.
        retry_after: whether a 429 says how long to wait.
        scopes: what the token may do; may be changed at any time.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        rate_factor: float = 1.0,
        lag: timedelta = timedelta(0),
        titles: bool = False,
        total_extra: int = 0,
        unknown_refused: bool = True,
        retry_after: bool = True,
        scopes: Iterable[str] = SCOPES,
    ) -> None:
        super().__init__(now=now)
        self.lag, self.total_extra, self.unknown_refused, self.retry_after = lag, total_extra, unknown_refused, retry_after
        self.scopes = set(scopes)
        self.state = State(lambda: self.now(), titles=titles)
        self.account = ACCOUNT
        self.desk = Desk(lambda: self.now(), rotates=True)
        self._revoked = False
        self._window = Window(PER_S * rate_factor, 1.0)
        forms, form = "/forms", "/forms/{form_id}"
        self.app = make_app(
            self,
            [
                Endpoint("GET", forms, self._get_forms),
                Endpoint("GET", form, lambda ask: Reply(self.state.form_json(self._form(ask)))),
                Endpoint("GET", form + "/responses", self._get_responses),
                Endpoint("DELETE", form + "/responses", self._delete_responses, write=True),
                Endpoint("GET", "/workspaces", self._get_workspaces),
                Endpoint("GET", "/oauth/authorize", self._authorize),
                Endpoint("POST", "/oauth/token", self._token),
            ],
            self._admit,
        )

    def settings(self) -> Mapping[str, object]:
        return {"token": TOKEN}

    def oauth_settings(self) -> Mapping[str, object]:
        """Return what `settings` does, for a connection that signs in."""
        return {"client_id": self.desk.client_id, "client_secret": self.desk.client_secret}

    def load(self, what: str, rows: Iterable[Mapping[str, Any]]) -> None:
        """Insert or change `surveys` and `responses`; a `responses` row is sent now unless it says when (None: never)."""
        load = {"surveys": self.state.load_form, "responses": self.state.load_response}[what]
        for row in rows:
            load(row)

    def delete(self, what: str, ids: Iterable[str]) -> None:
        """Delete forms, which then are not found, or answers, which then are just not there."""
        if what not in ("surveys", "responses"):
            raise KeyError(what)
        for id_ in ids:
            if what == "surveys":
                self.state.forms.pop(id_, None)
                continue
            for form in self.state.forms.values():
                form.responses.pop(id_, None)

    def merge(self, what: str, loser: str, winner: str) -> None:
        raise KeyError(f"Typeform merges no {what}")

    def revoke(self) -> None:
        """Take all tokens back."""
        self._revoked = True
        self.desk.revoke()

    # HTTP

    def _admit(self, ask: Ask) -> None:
        if ask.path.startswith("/oauth/"):
            return
        if not self._window.admits():
            headers = {"Retry-After": "1"} if self.retry_after else {}
            raise Refused(429, _error("TOO_MANY_REQUESTS", "Rate limit exceeded"), headers=headers)
        scheme, _, token = ask.headers.get("authorization", "").partition(" ")
        if scheme != "Bearer" or not (self.desk.welcomes(token) or (token == TOKEN and not self._revoked)):
            raise Refused(401, _error("AUTHENTICATION_FAILED", "Authentication credentials not found on the Request Headers"))
        of = "responses" if ask.path.endswith("/responses") else ask.path.split("/")[1]
        scope = f"{of}:{'write' if ask.method == 'DELETE' else 'read'}"
        if scope not in self.scopes:
            raise Refused(403, _error("FORBIDDEN", "missing scope"))

    def _form(self, ask: Ask) -> FormState:
        found = self.state.forms.get(ask.params["form_id"])
        if found is None:
            raise Refused(404, _error("FORM_NOT_FOUND", "Non existing form"))
        return found

    def _get_forms(self, ask: Ask) -> Reply:
        size = _size(ask, 10, MOST_FORMS)
        page = max(int(ask.one("page", "1") or 1), 1)
        forms = sorted(self.state.forms.values(), key=lambda form: (form.updated_at, form.id), reverse=True)
        base = ask.url.partition("/forms")[0]
        items = [self.state.listing_json(form, base) for form in forms[(page - 1) * size : page * size]]
        return Reply({"total_items": len(forms), "page_count": math.ceil(len(forms) / size), "items": items})

    def _delete_responses(self, ask: Ask) -> Reply:
        form = self._form(ask)
        for token in (ask.one("included_tokens") or "").split(","):
            form.responses.pop(token, None)
        return Reply({})

    def _get_responses(self, ask: Ask) -> Reply:
        form = self._form(ask)
        size = _size(ask, 25, MOST_RESPONSES)
        if ask.one("before") and (ask.one("since") or ask.one("until") or ask.one("sort")):
            raise Refused(400, _error("VALIDATION_ERROR", "a token cannot be combined with dates or a sort", "before"))
        since, until = _time(ask, "since"), _time(ask, "until")
        rows = [
            row
            for row in self.state.listed(self.now() - self.lag)(form)
            if (since is None or (row["submitted_at"] is not None and row["submitted_at"].replace(microsecond=0) >= since))
            and (until is None or row["submitted_at"] is None or row["submitted_at"].replace(microsecond=0) <= until)
        ]
        rows = self._before(rows, ask.one("before"))
        total = len(rows) + self.total_extra
        items = [self.state.response_json(form, row) for row in rows[:size]]
        return Reply({"total_items": total, "page_count": math.ceil(total / size), "items": items})

    def _before(self, rows: list[dict[str, Any]], token: str | None) -> list[dict[str, Any]]:
        if token is None:
            return rows
        at = next((n for n, row in enumerate(rows) if row["id"] == token), None)
        if at is None and self.unknown_refused:
            raise Refused(400, _error("VALIDATION_ERROR", "no such token", "before"))
        return [] if at is None else rows[at + 1 :]

    def _get_workspaces(self, ask: Ask) -> Reply:
        shared = {
            "id": "shared",
            "name": "A friend's",
            "default": False,
            "account_id": "01HSOMEBODYELSE0000000000",
            "shared": True,
        }
        own = {"id": "own", "name": "My workspace", "default": True, "account_id": self.account, "shared": False}
        href = ask.url.partition("?")[0]
        items = [{**one, "self": {"href": f"{href}/{one['id']}"}, "members": []} for one in (shared, own)]
        return Reply({"total_items": 2, "page_count": 1, "items": items})

    # Signing in

    def _authorize(self, ask: Ask) -> Reply:
        try:
            return Reply(status=302, headers={"location": self.desk.authorize(dict(ask.query))})
        except Unwelcome as unwelcome:
            raise Refused(400, {"error": str(unwelcome)}) from None

    def _token(self, ask: Ask) -> Reply:
        """Form-encoded, and no code challenge."""
        try:
            return Reply(self.desk.token(ask.form()))
        except Unwelcome as unwelcome:
            raise Refused(400, {"error": str(unwelcome)}) from None


SANDBOX = TypeformSandbox


def _error(code: str, description: str, field: str | None = None) -> Json:
    details = [{"code": code, "description": description, "field": field, "in": "query"}] if field else []
    return {"code": code, "description": description, "help": "https://www.typeform.com/developers", "details": details}


def _size(ask: Ask, default: int, most: int) -> int:
    given = ask.one("page_size") or str(default)
    if not given.isdigit() or not 1 <= int(given) <= most:
        raise Refused(400, _error("VALIDATION_ERROR", f"page_size is 1 to {most}", "page_size"))
    return int(given)


def _time(ask: Ask, name: str) -> datetime | None:
    """Epoch seconds, or ISO 8601 in UTC without a zone."""
    given = ask.one(name)
    if not given:
        return None
    try:
        at = datetime.fromtimestamp(int(given), UTC) if given.isdigit() else datetime.fromisoformat(given)
    except ValueError:
        raise Refused(400, _error("VALIDATION_ERROR", "not a time", name)) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
