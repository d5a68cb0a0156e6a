"""`tagalong connect`: signing in at a vendor's sandbox with a browser that the test plays, and every way in which that ends."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.browser import Browser, free_port
from workspace import Type

from connectors.hubspot.sandbox import HubSpotSandbox
from core.sandbox import Served, serve
from core.signin.catcher import Catcher

TOKEN = "tagalong.db.crm.token"


@pytest.fixture
def portal() -> Iterator[Served]:
    """A vendor with OAuth 2 that replaces its refresh tokens."""
    with serve({"crm": HubSpotSandbox(rotates=True, rate_factor=None)}) as served:
        yield served["crm"]


@pytest.fixture
def browser(monkeypatch: pytest.MonkeyPatch) -> Browser:
    """The browser of a machine with a desktop."""
    played = Browser()
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", played)
    return played


@pytest.fixture
def port() -> str:
    """A port that is free."""
    return str(free_port())


@pytest.fixture
def connect(type_: Type, portal: Served, browser: Browser, port: str, tmp_path: Path) -> Callable[..., Any]:
    """`connect("--json")` in a workspace whose connection `crm` signs in at the portal."""
    write_config(tmp_path, portal)

    def run(*words: str, stdin: str | None = None) -> Any:
        said = type_("connect", "crm", "--port", port, *words, stdin=stdin)
        browser.wait()
        return said

    return run


def write_config(folder: Path, portal: Served, workspace: str = "") -> Path:
    settings = "\n".join(f"{key} = {json.dumps(value)}" for key, value in portal.sandbox.oauth_settings().items())
    path = folder / "tagalong.toml"
    path.write_text(
        f'{workspace}\n[connections.crm]\nconnector = "hubspot"\nbase_url = "{portal.base_url}"\n{settings}\n', encoding="utf-8"
    )
    path.chmod(0o600)
    return path


def secrets_of(portal: Served) -> set[str]:
    desk = portal.sandbox.desk
    return {*desk._tokens, *desk._renewals, *desk._codes}


def test_signing_in_keeps_a_token_and_says_whose_it_is(
    connect: Callable[..., Any], portal: Served, browser: Browser, port: str, tmp_path: Path
) -> None:
    """The least scopes are asked for, with state and challenge; then the connection is checked, and a pull works."""
    said = connect()

    assert 0 == said.code, said.err
    assert "crm: signed in to account 4711000. The token is kept in a file beside the database" in said.out
    assert "ok      account  4711000" in said.out
    assert f"http://127.0.0.1:{port}/callback" in said.err
    (asked,) = portal.sandbox.desk.asked
    assert "oauth crm.objects.contacts.read crm.schemas.contacts.read crm.lists.read crm.lists.write" == asked["scope"]
    assert {"S256", 43, True} == {asked["code_challenge_method"], len(asked["code_challenge"]), len(asked["state"]) >= 20}
    assert 0o600 == stat.S_IMODE((tmp_path / TOKEN).stat().st_mode)
    assert "You can close this window" in browser.wait()[-1].text
    assert not any(secret in said.out + said.err + page.text for secret in secrets_of(portal) for page in browser.wait())


def test_the_answer_for_programs(connect: Callable[..., Any]) -> None:
    """One object on standard output; the address to open goes to standard error."""
    said = connect("--json")

    assert {"ok", "connection", "account", "kept_in", "scopes", "ends_at", "steps"} == said.json.keys()
    assert (True, "4711000", "file") == (said.json["ok"], said.json["account"], said.json["kept_in"])
    assert "/oauth/authorize?" in said.err


def test_a_pull_works_with_the_token_and_renews_it(
    connect: Callable[..., Any], type_: Type, portal: Served, tmp_path: Path
) -> None:
    """Once it has ended, with the refresh token that came with it, and each replaced one is kept."""
    portal.sandbox.load("people", [{"id": "1", "email": "ann@example.com"}])
    connect()
    first = json.loads((tmp_path / TOKEN).read_text())
    assert 0 == type_("pull").code
    assert first == json.loads((tmp_path / TOKEN).read_text())

    (tmp_path / TOKEN).write_text(json.dumps({**first, "expires_at": time.time()}))
    assert 0 == type_("pull").code
    second = json.loads((tmp_path / TOKEN).read_text())
    assert first["refresh_token"] != second["refresh_token"]
    assert {second["refresh_token"]} == portal.sandbox.desk._renewals
    portal.sandbox.desk._tokens.clear()  # refused before its time
    assert 0 == type_("pull").code


def test_a_sign_in_that_cannot_be_renewed_says_when_it_ends(connect: Callable[..., Any], portal: Served) -> None:
    """Some vendors give a refresh token only the first time, or only when asked for one."""
    portal.sandbox.desk.refreshes = False

    assert re.search(r"nothing to renew it with: it ends at \d{4}-\d\d-\d\d \d\d:\d\dZ", connect().out)
    assert connect("--json").json["ends_at"].endswith("Z")


def test_nothing_secret_shows_however_loud(connect: Callable[..., Any], browser: Browser, portal: Served, type_: Type) -> None:
    """Neither code nor verifier nor token, with the log at its fullest, when all goes well and when the vendor refuses."""
    desk = portal.sandbox.desk
    forms: list[dict[str, str]] = []
    exchange = desk.token
    desk.token = lambda form: exchange(forms.append(dict(form)) or form)
    said = [connect("-vv"), type_("pull", "-vv")]
    tokens = {*desk._tokens, *desk._renewals}
    browser.change = lambda address: address.replace("code=", "code=spoilt")
    said.append(connect("-vv"))

    secrets = {forms[0]["code"], forms[0]["code_verifier"], forms[1]["code"], forms[1]["code_verifier"], *tokens}
    assert 1 == said[-1].code
    assert len(secrets) >= 6
    assert [] == [one for one in secrets for answer in said if one in answer.out + answer.err]


def test_declined_at_the_vendor(connect: Callable[..., Any], portal: Served, tmp_path: Path) -> None:
    portal.sandbox.desk.declines = True
    said = connect()

    assert 1 == said.code
    assert "the sign-in was declined at the vendor; nothing has changed" in said.err
    assert "said no" not in said.err
    assert not (tmp_path / TOKEN).exists()


def test_the_answer_to_another_sign_in_is_refused(connect: Callable[..., Any], browser: Browser, portal: Served) -> None:
    """The code is not even tried."""
    browser.change = lambda address: address.replace("state=", "state=x")
    said = connect()

    assert 1 == said.code
    assert "its state is not this one's" in said.err
    assert 1 == len(portal.sandbox.desk._codes)


def test_an_answer_without_a_state_is_refused(connect: Callable[..., Any], browser: Browser) -> None:
    browser.change = lambda address: address.replace("state=", "stat=")
    said = connect()

    assert (1, True) == (said.code, "holds no state" in said.err)


def test_a_code_that_the_vendor_does_not_take(connect: Callable[..., Any], browser: Browser) -> None:
    browser.change = lambda address: address.replace("code=", "code=x")
    said = connect()

    assert 1 == said.code
    assert "the token server refused the credentials; run `tagalong connect crm`" in said.err


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long an answer was to be waited for; a thousandth of that really is."""
    asked: list[float] = []
    wait = Catcher.wait
    monkeypatch.setattr(Catcher, "wait", lambda self, limit_s: asked.append(limit_s) or wait(self, limit_s / 1000))
    return asked


def test_nobody_signs_in(connect: Callable[..., Any], waits: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webbrowser.open", lambda address: True)
    said = connect("--wait", "90s")

    assert (1, [90.0]) == (said.code, waits)
    assert "nobody signed in within the time; nothing has changed" in said.err


def test_a_port_that_is_taken(connect: Callable[..., Any], port: str) -> None:
    with socket.create_server(("127.0.0.1", int(port))):
        said = connect()

    assert 2 == said.code
    assert f"port {port} of this machine cannot be listened on" in said.err
    assert "--port" in said.err


def test_a_machine_without_a_desktop_prints_the_address(
    connect: Callable[..., Any], browser: Browser, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No browser that would take over the terminal is started."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    said = connect()

    assert ([], [300.0]) == (browser.addresses, waits)
    assert "Open this address in a browser:\n\nhttp://127.0.0.1:" in said.err


def test_the_address_that_the_browser_ended_at_may_be_pasted(
    type_: Type, portal: Served, browser: Browser, tmp_path: Path
) -> None:
    """Where it cannot come back to this machine: over SSH, or with a redirect URI of https."""
    write_config(tmp_path, portal)
    process = subprocess.Popen(
        [sys.executable, "-c", "from core.cli import main; main()", "connect", "crm", "--no-browser", "--redirect", "https://app.example.com/back"],
        cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stdin and process.stderr and process.stdout
    lines = iter(process.stderr.readline, "")
    address = next(line for line in lines if line.startswith(portal.base_url)).strip()
    ended_at = httpx.get(address, trust_env=False).headers["location"]
    process.stdin.write(f"\n{ended_at}#\n")
    process.stdin.flush()  # and stays open, as a terminal does

    out, err = process.communicate(timeout=60)
    assert ended_at.startswith("https://app.example.com/back?code=")
    assert (0, True) == (process.returncode, "signed in to account 4711000" in out), err


def test_another_redirect_uri_of_this_machine_is_caught_too(connect: Callable[..., Any], portal: Served, port: str) -> None:
    """Some vendors take localhost by its name only."""
    said = connect("--redirect", f"http://localhost:{port}/oauth/back")

    assert 0 == said.code, said.err
    assert f"http://localhost:{port}/oauth/back" == portal.sandbox.desk.asked[0]["redirect_uri"]


def test_what_is_pasted_is_looked_at(connect: Callable[..., Any], port: str) -> None:
    said = connect("--no-browser", stdin="gibberish\n")

    assert 1 == said.code
    assert "that is no address to which a sign-in leads back" in said.err
    assert "gibberish" not in said.err


def test_a_code_from_the_vendors_console(connect: Callable[..., Any], portal: Served, browser: Browser) -> None:
    """Some vendors give one out without a redirect; it is asked for and not shown."""
    code = portal.sandbox.desk.hand_out()
    said = connect("--code", stdin=f"{code}\n")

    assert 0 == said.code, said.err
    assert [] == browser.addresses
    assert code not in said.out + said.err


def test_ctrl_c_changes_nothing(tmp_path: Path, type_: Type, portal: Served, port: str) -> None:
    write_config(tmp_path, portal)
    # a shell starts what runs in the background with this signal ignored, and so would we be started
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from core.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", heard, "connect", "crm", "--no-browser", "--port", port],
        cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )  # fmt: skip
    assert process.stderr
    next(line for line in iter(process.stderr.readline, "") if "paste" in line)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert 1 == process.returncode
    assert "stopped before anybody had signed in; nothing has changed\n" == err
    assert not (tmp_path / TOKEN).exists()


def test_another_account_is_refused_and_what_was_kept_stays(
    connect: Callable[..., Any], type_: Type, portal: Served, tmp_path: Path
) -> None:
    """`tagalong rebind` is named; after it the sign-in is taken."""
    connect()
    assert 0 == type_("pull").code
    before = (tmp_path / TOKEN).read_text()
    portal.sandbox.objects.portal_id = 99
    said = connect()

    assert 2 == said.code
    assert "you signed in to account 99, and what is stored came from account 4711000; the sign-in was not kept" in said.err
    assert "tagalong rebind crm" in said.err
    assert before == (tmp_path / TOKEN).read_text()
    assert 0 == type_("rebind", "crm", "--yes").code
    assert 0 == connect().code


def test_a_vendor_that_is_away_after_the_sign_in(
    connect: Callable[..., Any], portal: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is kept, and that the connection could not be checked is said."""
    from core.contract import Fault

    monkeypatch.setattr("core.http.waiting.Waiter.sleep", lambda self, wait_s: None)
    portal.faults = lambda method, path, number: Fault(503, {}, b"away") if "oauth" not in path else None
    said = connect()

    assert 1 == said.code
    assert "signed in; the vendor cannot say now to which account" in said.out
    assert "FAILED" in said.out


def test_forgetting_is_the_undo(connect: Callable[..., Any], tmp_path: Path, portal: Served) -> None:
    """Here; what has to be done at the vendor is told, and no secret is needed for it."""
    connect()
    said = connect("--forget")

    assert 0 == said.code
    assert "crm: the sign-in is forgotten here." in said.out
    assert "HubSpot still holds the permission; to take it back there: Settings > Integrations > Connected Apps" in said.out
    assert not (tmp_path / TOKEN).exists()
    assert "nobody was signed in" in connect("--forget").out
    path = tmp_path / "tagalong.toml"
    path.write_text(path.read_text().replace('client_secret = "sandbox-client-secret"', 'client_secret = { env = "NOT_SET" }'))
    assert {"ok": True, "connection": "crm", "forgotten": False} == {
        key: value for key, value in connect("--forget", "--json").json.items() if key != "revoke"
    }


def test_without_a_sign_in_it_is_said_what_to_do(connect: Callable[..., Any], type_: Type) -> None:
    """By pull, and by check."""
    pulled, checked = type_("pull"), type_("check")

    assert 1 == pulled.code == checked.code
    assert "not signed in; run `tagalong connect crm`" in pulled.out + pulled.err
    assert "FAILED  sign in  not signed in\n          run `tagalong connect crm`" in checked.out
    assert "reach" not in checked.out  # nothing was sent, so nothing was reached


def test_a_permission_taken_back_says_what_to_do(connect: Callable[..., Any], type_: Type, portal: Served) -> None:
    connect()
    portal.sandbox.desk.revoke()
    said = type_("check")

    assert 1 == said.code
    assert "run `tagalong connect crm`" in said.out


def test_a_connection_with_a_key_has_nothing_to_sign_in_to(type_: Type, tmp_path: Path) -> None:
    (tmp_path / "tagalong.toml").write_text('[connections.crm]\nconnector = "hubspot"\ntoken = "pat-x"\n')
    said = type_("connect", "crm")

    assert 2 == said.code
    assert "HubSpot has no sign-in page for what is configured" in said.err
    assert 2 == type_("connect", "exports").code


def test_a_second_redirect_changes_nothing(connect: Callable[..., Any], browser: Browser, portal: Served, port: str) -> None:
    """A page that is loaded again while the code is exchanged is told so."""
    seen: list[str] = []
    desk = portal.sandbox.desk
    exchange = desk.token

    def slow(form: Any) -> Any:
        back = f"http://127.0.0.1:{port}/callback?code=other&state=other"
        seen.append(httpx.get(back, trust_env=False).text)
        return exchange(form)

    desk.token = slow
    said = connect()

    assert 0 == said.code, said.err
    assert ["answered already" in page for page in seen] == [True]


class Ring:
    """A keyring that can be locked."""

    priority = 5

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def _look(self) -> None:
        if self.locked:
            raise RuntimeError("locked")

    def get_password(self, service: str, name: str) -> str | None:
        self._look()
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, secret: str) -> None:
        self._look()
        self.kept[service, name] = secret

    def delete_password(self, service: str, name: str) -> None:
        self._look()
        del self.kept[service, name]


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> Ring:
    """The machine has one."""
    one = Ring()
    monkeypatch.setattr("keyring.get_keyring", lambda: one)
    return one


def test_with_a_keyring_the_token_is_there(
    connect: Callable[..., Any], ring: Ring, type_: Type, tmp_path: Path, portal: Served
) -> None:
    """The file beside the database names the entry only, and a pull finds it; a locked one is said; forgetting removes both."""
    said = connect()
    assert "The token is kept in the system keyring." in said.out
    ((_, kept),) = ring.kept.items()
    access_token = json.loads(kept)["access_token"]
    assert access_token not in (tmp_path / TOKEN).read_text()
    assert 0 == type_("pull").code
    with sqlite3.connect(tmp_path / "tagalong.db") as database:
        assert access_token not in "\n".join(database.iterdump())

    ring.locked = True
    said = type_("pull")
    assert 1 == said.code
    assert "the system keyring, which has the token, cannot be read" in said.out + said.err
    ring.locked = False
    assert 0 == connect("--forget").code
    assert ({}, False) == (ring.kept, (tmp_path / TOKEN).exists())


def test_the_workspace_may_insist_on_the_file_or_the_keyring(
    connect: Callable[..., Any], ring: Ring, portal: Served, browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_config(tmp_path, portal, '[workspace]\ntokens = "file"\n')
    assert "a file beside the database" in connect().out
    assert {} == ring.kept
    monkeypatch.setattr("keyring.get_keyring", lambda: None)
    write_config(tmp_path, portal, '[workspace]\ntokens = "keyring"\n')
    opened = len(browser.addresses)
    said = connect()

    assert (2, opened) == (said.code, len(browser.addresses))  # before anybody signs in for nothing
    assert "there is no system keyring here" in said.err


def test_two_sign_ins_at_once_leave_one_whole_token(
    type_: Type, portal: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever ends last is kept, whole."""
    from core.http import open_exchange, token_path
    from core.registry import load_connector
    from core.tokens import TokenKeeper, Vault

    connector = load_connector("hubspot")
    settings = connector.settings_model.model_validate({**portal.sandbox.oauth_settings(), "base_url": portal.base_url})
    exchange = open_exchange(connector, settings, connection="crm")
    made: list[str] = []

    def one() -> None:
        token = exchange.by_code(portal.sandbox.desk.hand_out("http://x"), redirect_uri="http://x")
        made.append(token.access_token)
        TokenKeeper(exchange, Vault(token_path(tmp_path / "tagalong.db", "crm"))).keep(token)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert json.loads((tmp_path / TOKEN).read_text())["access_token"] in made
