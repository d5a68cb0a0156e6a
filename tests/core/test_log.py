"""The log tells what happened and never a secret or an address; a planted canary proves it."""

from __future__ import annotations

import json
import logging
import sys
import traceback
from base64 import b64encode
from urllib.parse import quote

import httpx
import pytest
import structlog
from pydantic import BaseModel, SecretStr
from support import acme

from core.errors import HubError
from core.hidden import BLOT
from core.log import ADDRESS_BLOT, configure, hide, hide_renewed, hide_settings, is_debugging, log, redact
from core.registry import Connector
from core.store import Store

CANARY = "canary+sekrit/9f8e7d6c5b4a"
PERSON = "ann.secretperson@example.com"


@pytest.fixture
def stderr(capsys):
    """What came out on standard error; logging is as it was before afterwards, and nothing came out on standard output."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    said = []

    def read():
        captured = capsys.readouterr()
        assert captured.out == ""
        said.append(captured.err)
        return "".join(said)

    yield read
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def test_json_where_nobody_looks_on(stderr):
    """One object a line, on standard error, with the facts in keys."""
    configure()
    with structlog.contextvars.bound_contextvars(run_id=7, connector="acme"):
        log.info("stream_pulled", stream="contacts", records=212)
    line = json.loads(stderr())

    assert ("stream_pulled", "info", 7, "acme", "contacts", 212) == tuple(
        line[key] for key in ("event", "level", "run_id", "connector", "stream", "records")
    )
    assert line["timestamp"].endswith("Z")


def test_pretty_where_somebody_does(stderr, monkeypatch):
    """On a terminal, or where that is asked for; nothing on standard output."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    configure()
    log.info("stream_pulled", stream="contacts")
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(stderr())
    assert "stream_pulled" in stderr()


def test_a_level_is_a_level(stderr):
    """Debug lines are only there when asked for; other libraries' chatter never is, their warnings are."""
    configure("info", json=True)
    log.debug("request_sent")
    assert not is_debugging()
    logging.getLogger("httpx").warning("chatter")
    logging.getLogger("httpcore.connection").debug("chatter")
    logging.getLogger("somebody.else").warning("%s is odd", PERSON)
    configure("debug", json=True)
    log.debug("seen")

    assert is_debugging()
    assert [f"{ADDRESS_BLOT} is odd", "seen"] == [json.loads(line)["event"] for line in stderr().splitlines()]


def fail(message):
    raise HubError(message)


SPELLINGS = [
    CANARY,
    quote(CANARY, safe=""),
    b64encode(CANARY.encode()).decode(),
    f"Bearer {CANARY}",
    f"https://x.test/?k={quote(CANARY)}",
]


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("text", SPELLINGS)
def test_a_secret_is_blotted_out_wherever_it_stands(stderr, as_json, text):
    """In the event, a value, a key, deep inside, an exception, another library's line."""
    configure("info", json=as_json)
    hide(SecretStr(CANARY))
    try:
        fail(f"oh {text}")
    except HubError:
        log.exception("failed", deep={"a": [text, {text: (text,)}]}, obj=Odd(text))
        logging.getLogger("other").exception("said %s", text)
    log.info(text)

    said = stderr()
    assert "sekrit" not in said
    assert text not in said
    assert said.count(BLOT) >= 7
    assert "HubError" in said


class Odd:
    def __init__(self, text):
        self.text = text

    def __str__(self):
        return self.text


ADDRESSES = [PERSON, "ann%40example.com", "Ann.O'Hara+tag@mail.example.co.uk", "åsa@räksmörgås.example.com", f"mailto:{PERSON}"]


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_is_masked(text):
    """Whoever's it is."""
    said = redact(f"/contacts/{text}/tags")
    assert f"{ADDRESS_BLOT}/tags" in said
    assert "example" not in said
    assert said.startswith("/contacts/")


def test_what_is_no_address_stays():
    """An at sign is not enough."""
    assert redact("@property 5@ 3 user@ @example.com") == "@property 5@ 3 user@ @example.com"


def test_variables_of_a_traceback_are_not_shown(stderr):
    """A pretty traceback would show them."""
    configure("info", json=False)
    unhidden = "value-of-a-local-variable"
    try:
        fail("no " + unhidden[:2])
    except HubError:
        log.exception("failed")
    assert unhidden not in stderr().replace('unhidden = "value-of-a-local-variable"', "")


class Inner(BaseModel):
    key: SecretStr


class Outer(BaseModel):
    inner: Inner
    several: list[SecretStr]
    by_name: dict[str, SecretStr]
    none: SecretStr | None = None
    plain: str = "plain-text"


def test_all_secrets_of_settings_are_found():
    """Nested, in lists, in mappings; a private key line by line; a very short one would blot out everything and is not."""
    hide_settings(
        Outer(
            inner=Inner(key=SecretStr("inner-secret-1")),
            several=[SecretStr("listed-secret-2")],
            by_name={"a": SecretStr("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\n-----END KEY-----")},
        )
    )
    hide("e", "", None)
    said = redact("inner-secret-1 listed-secret-2 MIIEvQIBADANBgkqhkiG plain-text one letter e")

    assert f"{BLOT} {BLOT} {BLOT} plain-text one letter e" == said


def test_tokens_in_use_stay_hidden_however_often_others_are_renewed():
    """Each connection has its own; the same text again is no other."""
    hide_renewed("crm", "crm-token-in-use", "crm-refresh-in-use")
    for n in range(100):
        hide_renewed("mail", f"mail-token-{n:03}", "mail-refresh-in-use")
    said = redact("crm-token-in-use crm-refresh-in-use mail-token-099 mail-token-090 mail-refresh-in-use mail-token-000")

    assert said == " ".join([BLOT] * 5 + ["mail-token-000"])


def test_the_longer_of_two_secrets_is_blotted_out_whole():
    """One may begin with another."""
    hide("abcd")
    hide("abcd-efgh-ijkl")

    assert redact("say abcd-efgh-ijkl or abcd") == f"say {BLOT} or {BLOT}"


def test_a_planted_secret_comes_out_nowhere(stderr, respx_mock, fake_api, store_path):
    """Not in logs, exceptions, tracebacks, reprs or the store's bytes, whatever a vendor answers."""
    configure("debug", json=True)
    Store(store_path).close()
    base = "https://api.acme.test/v2"
    failures = [
        httpx.Response(400, text=f"bad token {CANARY} of {PERSON}", headers={"X-Request-Id": CANARY}),
        httpx.Response(302, headers={"Location": f"https://evil.test/?token={CANARY}"}),
        httpx.Response(200, text=f"<html>{CANARY}", headers={"content-type": "text/html"}),
        httpx.Response(200, text=f'{{"token": "{CANARY}"', headers={"content-type": "application/json"}),
        httpx.LocalProtocolError(f"Illegal header value {CANARY}"),
        httpx.Response(401, json={"key": CANARY}),
    ]
    respx_mock.get(url__startswith=f"{base}/people").mock(side_effect=failures)
    connector = Connector(acme)
    settings = acme.Settings(token=SecretStr(CANARY))
    api = fake_api(connector, settings)
    texts = [repr(api), repr(settings), str(settings), repr(api._wire), repr(api._wire.signer)]
    for _ in failures:
        with pytest.raises(HubError) as caught:
            api.get(f"/people/{PERSON}", email=PERSON, token=CANARY)
        texts += [str(caught.value), repr(caught.value)]
        log.error("failed", exc_info=caught.value, error=str(caught.value))
        texts.append(redact("".join(traceback.format_exception(caught.value))))
    api.close()
    everything = "\n".join([*texts, stderr()])

    assert everything.count('"event": "failed"') == len(failures)
    assert '"event": "request_sent"' in everything
    for word in (CANARY, quote(CANARY, safe=""), b64encode(CANARY.encode()).decode(), "secretperson"):
        assert word not in everything
        for path in store_path.parent.iterdir():
            assert word.encode() not in path.read_bytes()
