"""`tagalong connect` at every vendor that has a sign-in page: a browser goes there and comes back, and the token is good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.browser import Browser, free_port
from workspace import Type

import core.http
from core.http import open_api
from core.registry import connector_names, load_connector
from core.sandbox import serve

WITH_A_PAGE = [
    name
    for name in connector_names()
    if load_connector(name).manifest.hosts and load_connector(name).sandbox().oauth_settings() is not None
]


def test_the_vendors_with_oauth_are_all_here() -> None:
    assert ["google_analytics", "hubspot", "mailchimp", "salesforce", "typeform", "zoho_crm"] == WITH_A_PAGE


@pytest.mark.parametrize("name", WITH_A_PAGE)
def test_signing_in_is_enough_to_use_it(name: str, type_: Type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but the client is configured; afterwards `check` passes, and `--forget` undoes it."""
    browser = Browser()
    monkeypatch.setattr(core.http, "open_api", lambda *args, **options: open_api(*args, sleep=lambda _: None, **options))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", browser)
    box = load_connector(name).sandbox(rate_factor=1000)
    settings = box.oauth_settings()
    assert settings is not None
    path = tmp_path / "tagalong.toml"
    with serve({name: box}) as served:
        text = "\n".join(f"{key} = {json.dumps(value)}" for key, value in settings.items())
        base = served[name].base_url
        path.write_text(f'[connections.it]\nconnector = "{name}"\nbase_url = "{base}"\n{text}\n', encoding="utf-8")
        path.chmod(0o600)
        before = type_("check", "it")
        signed_in = type_("connect", "it", "--port", str(free_port()))
        pages = browser.wait()
        check, forgotten, after = type_("check", "it"), type_("connect", "it", "--forget"), type_("check", "it")

    assert 1 == before.code
    assert "tagalong connect it" in before.out + before.err
    assert 0 == signed_in.code, signed_in.err
    assert "You can close this window" in pages[-1].text
    assert 0 == check.code, check.out
    assert 0 == forgotten.code, forgotten.err
    assert 1 == after.code
