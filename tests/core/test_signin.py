"""Signing in: what the browser is sent to, what the answer may be, and to whom the code is given."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import pytest
from pydantic import SecretStr
from support.browser import Browser, free_port

from core.contract import Ask, Desk, Endpoint, OAuth2, Reply, Sandbox, Unwelcome, make_app
from core.errors import AuthError, ProtocolError
from core.http.hosts import Hosts
from core.sandbox import Served, serve
from core.signin import sign_in
from core.signin.redirect import read_redirect
from core.tokens import Exchange, Token

BACK = "http://127.0.0.1:8919/callback"


class Vendor(Sandbox):
    """Nothing but a desk."""

    def __init__(self) -> None:
        super().__init__(now=lambda: datetime(2026, 3, 2, 12, tzinfo=UTC))
        self.desk = Desk(self.now)
        self.forms: list[dict[str, str]] = []
        table = [Endpoint("GET", "/authorize", self._authorize), Endpoint("POST", "/{region}/token", self._token)]
        self.app = make_app(self, table, lambda ask: None)

    def _authorize(self, ask: Ask) -> Reply:
        return Reply(status=302, headers={"location": self.desk.authorize(dict(ask.query))})

    def _token(self, ask: Ask) -> Reply:
        self.forms.append({**ask.form(), "region": ask.params["region"], "host": ask.headers["host"]})
        try:
            return Reply(self.desk.token(ask.form()))
        except Unwelcome as refused:
            return Reply({"error": str(refused)}, 400)


@pytest.fixture
def vendor() -> Iterator[Served]:
    with serve({"vendor": Vendor()}) as served:
        yield served["vendor"]


@pytest.fixture
def enter(vendor: Served) -> Callable[..., Token]:
    """`enter(**options of OAuth2)`: sign in with a browser that the test plays."""

    def run(*, typed: Any = None, change: Callable[[str], str] = lambda address: address, **options: Any) -> Token:
        desk = vendor.sandbox.desk
        auth = OAuth2(
            f"{vendor.base_url}/home/token", client_id=desk.client_id, client_secret=SecretStr(desk.client_secret),
            authorize_url=f"{vendor.base_url}/authorize", **options,
        )  # fmt: skip
        hosts = Hosts(("acme.test",), loopback=True)
        exchange = Exchange(auth, connection="crm", check_host=hosts.check, now=lambda: 0.0, client={"timeout": 30.0})
        browser = Browser(change)
        try:
            return sign_in(exchange, f"http://127.0.0.1:{free_port()}/callback", show=browser, typed=typed, limit_s=60)
        finally:
            browser.wait()

    return run


def test_what_the_browser_is_sent_to(vendor: Any, enter: Callable[..., Token]) -> None:
    """Client, redirect, the scopes in the vendor's spelling, what the vendor wants besides, state and challenge."""
    token = enter(scopes=("a", "b"), scope_separator=",", authorize_params={"access_type": "offline", "prompt": "consent"})

    (asked,) = vendor.sandbox.desk.asked
    assert ("code", "a,b", "offline", "consent") == tuple(
        asked[name] for name in ("response_type", "scope", "access_type", "prompt")
    )
    assert "S256" == asked["code_challenge_method"]
    (form,) = vendor.sandbox.forms
    assert form["code_verifier"] not in (asked["code_challenge"], asked["state"])
    assert 43 <= len(form["code_verifier"]) <= 128
    assert asked["redirect_uri"] == form["redirect_uri"]
    assert token.refresh_token in vendor.sandbox.desk._renewals


def test_a_vendor_that_takes_no_challenge_gets_none(vendor: Any, enter: Callable[..., Token]) -> None:
    enter(pkce=False)

    (asked,), (form,) = vendor.sandbox.desk.asked, vendor.sandbox.forms
    assert not {name for name in (*asked, *form) if name.startswith("code_")}
    assert "scope" not in asked


def test_each_sign_in_has_a_state_and_a_verifier_of_its_own(vendor: Any, enter: Callable[..., Token]) -> None:
    enter()
    enter()
    states = {asked["state"] for asked in vendor.sandbox.desk.asked}
    assert (2, 2) == (len(states), len({form["code_verifier"] for form in vendor.sandbox.forms}))


def test_a_code_of_somebody_elses_sign_in_is_good_for_nothing(vendor: Any, enter: Callable[..., Token]) -> None:
    """A code that was put in the place of ours does not fit our verifier."""
    foreign = vendor.sandbox.desk.hand_out(BACK, "challenge")

    def swapped(address: str) -> str:
        (code,) = parse_qs(urlsplit(address).query)["code"]
        return address.replace(code, foreign)

    with pytest.raises(AuthError, match="refused"):
        enter(change=swapped)


def test_the_code_goes_where_the_redirect_says_if_that_is_the_vendors(vendor: Any, enter: Callable[..., Token]) -> None:
    """An account of another region has its token server there, and is renewed there; the path is the connector's."""
    elsewhere = vendor.base_url.replace("127.0.0.1", "localhost")
    vendor.sandbox.desk.sent_back = {"accounts-server": elsewhere, "location": "eu"}

    token = enter(token_host_param="accounts-server")
    assert f"{elsewhere}/home/token" == token.token_url
    assert vendor.sandbox.forms[-1]["host"].startswith("localhost")
    assert None is enter().token_url  # a connector that does not know the parameter is not led by it


@pytest.mark.parametrize(
    "origin", ["https://evil.test", "http://accounts.acme.test", "nonsense", "https://acme.test.evil.test", "https://["]
)
def test_the_code_goes_nowhere_else(vendor: Any, enter: Callable[..., Token], origin: str) -> None:
    vendor.sandbox.desk.sent_back = {"accounts-server": origin}
    with pytest.raises(ProtocolError):
        enter(token_host_param="accounts-server")
    assert [] == vendor.sandbox.forms


def test_the_answer_may_be_typed(vendor: Any, enter: Callable[..., Token]) -> None:
    """The first line counts, and the browser need not come back."""
    with pytest.raises(AuthError, match="another sign-in"):
        enter(typed=io.StringIO(f"\n  {BACK}?code=x&state=y  \n"), change=lambda address: f"{vendor.base_url}/nowhere")


ANSWERS = {
    "declined": (
        f"{BACK}?error=access_denied&error_description=secretperson&state=s",
        "declined at the vendor",
        "access_denied",
    ),
    "declined without a state": (f"{BACK}?error=access_denied", "declined at the vendor", "access_denied"),
    "refused": (f"{BACK}?error=invalid_scope&state=s", "the vendor refused the sign-in", "invalid_scope"),
    "refused in words": (f"{BACK}?error=secretperson+said+no&state=s", "the vendor refused the sign-in", None),
    "wrong state": (f"{BACK}?code=secretperson&state=t", "belongs to another sign-in", None),
    "wrong state and declined": (f"{BACK}?error=access_denied&state=t", "belongs to another sign-in", None),
    "odd state": (f"{BACK}?code=secretperson&state=%C3%A5", "belongs to another sign-in", None),
    "no state": (f"{BACK}?code=secretperson", "holds no state", None),
    "no code": (f"{BACK}?state=s", "holds no code", None),
    "empty code": (f"{BACK}?code=&state=s", "holds no code", None),
    "the code alone": ("secretperson", "that is no address", None),
    "no address": ("http://[secretperson?code=x&state=s", "that is no address", None),
}


@pytest.mark.parametrize(("address", "told", "code"), ANSWERS.values(), ids=ANSWERS.keys())
def test_what_an_answer_may_say(address: str, told: str, code: str | None) -> None:
    """One message each, and none of what it holds."""
    with pytest.raises(AuthError, match=told) as caught:
        read_redirect(address, "s")
    assert code == caught.value.code
    assert "secretperson" not in f"{caught.value}{caught.value!r}"


def test_a_good_answer() -> None:
    """In any order, with a fragment that some vendors add; what it grants is not shown."""
    granted = read_redirect(f" {BACK}?state=s&accounts-server=https%3A%2F%2Facme.test&code=a%2Fb#_=_\n", "s", "accounts-server")
    assert ("a/b", "https://acme.test") == (granted.code, granted.origin)
    assert "Granted()" == repr(granted)


def test_the_desk_is_as_strict_as_the_standard() -> None:
    """A code once, for its redirect URI; an access token until its end."""
    at = [datetime(2026, 3, 2, 12, tzinfo=UTC)]
    desk = Desk(lambda: at[0], rotates=True)
    client = {"client_id": desk.client_id, "client_secret": desk.client_secret}
    where = desk.authorize({"response_type": "code", "client_id": desk.client_id, "redirect_uri": BACK, "state": "s"})
    form = {
        **client,
        **dict(parse_qsl(httpx.URL(where).query.decode())),
        "grant_type": "authorization_code",
        "redirect_uri": BACK,
    }
    answer = desk.token(form)
    with pytest.raises(Unwelcome, match="invalid_grant"):
        desk.token(form)
    with pytest.raises(Unwelcome, match="invalid_client"):
        desk.token({**form, "client_secret": "other"})
    with pytest.raises(Unwelcome, match="unsupported_grant_type"):
        desk.token(client)
    with pytest.raises(Unwelcome, match="invalid_request"):
        desk.authorize({"response_type": "code", "client_id": "other", "redirect_uri": BACK})
    assert desk.welcomes(answer["access_token"])
    at[0] = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
    assert not desk.welcomes(answer["access_token"])
    renewal = {**client, "grant_type": "refresh_token", "refresh_token": answer["refresh_token"]}
    assert desk.welcomes(desk.token(renewal)["access_token"])
    with pytest.raises(Unwelcome, match="invalid_grant"):
        desk.token(renewal)
