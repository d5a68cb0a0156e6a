"""What a files connection may say, and how it says what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from files_rows import ACCOUNTS, PAYMENTS, USAGE, write
from pydantic import ValidationError

from connectors.files import Settings
from core.contract import Result
from core.registry import load_connector

CONNECTOR = load_connector("files")


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        pytest.param({**ACCOUNTS, "path": "/etc/passwd.csv"}, "under the config file's folder", id="absolute"),
        pytest.param({**ACCOUNTS, "path": "../x.csv"}, "under the config file's folder", id="parent"),
        pytest.param({**ACCOUNTS, "path": "data/x.xlsx"}, "format", id="unknown-format"),
        pytest.param({**ACCOUNTS, "fields": {"contry": "country"}}, "did you mean 'country'", id="field-misspelt"),
        pytest.param({**ACCOUNTS, "fields": {"plan": "plan"}}, "no field of a profile", id="field-of-another-kind"),
        pytest.param({**ACCOUNTS, "identifiers": {}}, "identifiers", id="nobody"),
        pytest.param({**ACCOUNTS, "identifiers": {"User Id": "x"}}, "no kind of identifier", id="identifier-kind"),
        pytest.param({**ACCOUNTS, "time": "x"}, "belong to streams of kind 'event'", id="time-of-a-profile"),
        pytest.param({**ACCOUNTS, "encoding": "utf-9"}, "no encoding", id="encoding"),
        pytest.param({**ACCOUNTS, "constants": {"country": "SE"}}, "both", id="field-and-constant"),
        pytest.param({**ACCOUNTS, "kind": "person"}, "kind", id="kind"),
        pytest.param({**ACCOUNTS, "pth": "x"}, "pth", id="unknown-key"),
        pytest.param({**ACCOUNTS, "types": {"seats": "int"}}, "seats", id="unknown-type"),
        pytest.param({**PAYMENTS, "currency": "euro"}, "currency", id="currency"),
        pytest.param({k: v for k, v in USAGE.items() if k != "time"}, "needs time", id="event-without-time"),
        pytest.param({k: v for k, v in USAGE.items() if k != "event_column"}, "event_column", id="event-without-name"),
        pytest.param({**USAGE, "event": "x"}, "either", id="event-with-two-names"),
        pytest.param({**USAGE, "fields": {"name": "x"}}, "properties", id="event-with-fields"),
        pytest.param({**ACCOUNTS, "kind": "consent", "fields": {"at": "x"}}, "state", id="consent-without-state"),
    ],
)
def test_what_is_wrong_is_said_at_load(spec: dict[str, Any], said: str) -> None:
    """Before any file is opened."""
    with pytest.raises(ValidationError, match=said) as caught:
        Settings.model_validate({"streams": {"it": spec}})
    assert all(error["loc"][:2] == ("streams", "it") for error in caught.value.errors())


@pytest.mark.parametrize(
    "settings",
    [{}, {"folder": "/tmp"}, {"folder": "../x"}, {"streams": {"Bad Name": ACCOUNTS}}, {"streams": {"a__b": ACCOUNTS}}],
)
def test_settings_that_lead_nowhere(settings: dict[str, Any]) -> None:
    """Neither streams nor a folder, a folder elsewhere, a name that no segment could speak of."""
    with pytest.raises(ValidationError):
        Settings.model_validate(settings)


@pytest.mark.parametrize(("key", "value"), [("start", "2030-01-01"), ("base_url", "https://example.com")])
def test_keys_that_mean_nothing_here_are_refused(key: str, value: str) -> None:
    """They are every connector's, and would be read and ignored."""
    with pytest.raises(ValidationError, match="means nothing here") as caught:
        Settings.model_validate({"folder": "out", key: value})
    assert [(key,)] == [error["loc"] for error in caught.value.errors()]


def test_streams_and_account() -> None:
    """Streams come from the config; there is one file system."""
    settings = Settings.model_validate({"streams": {"accounts": ACCOUNTS, "usage": USAGE}})

    assert ["accounts", "usage"] == list(CONNECTOR.streams(settings))
    assert CONNECTOR.auth(settings) is None
    assert "files" == CONNECTOR.account(None)


def test_check(api: Any, tmp_path: Path) -> None:
    """Each stream's files are found and have its columns; the folder is inside."""
    assert CONNECTOR.check is not None
    failed = list(CONNECTOR.check(api))
    assert [("read accounts", Result.FAILED), ("authenticate", Result.SKIPPED), ("folder", Result.PASSED)] == [
        (step.name, step.result) for step in failed
    ]
    assert failed[0].remedy

    write(tmp_path, "data/accounts.csv", "account_id,owner_email,country,account_nam\nA1,a@example.com,SE,x\n")
    step = next(iter(CONNECTOR.check(api)))
    assert (Result.FAILED, True) == (step.result, "account_nam" in step.detail)

    write(tmp_path, "data/accounts.csv", "account_id,owner_email,country,account_name\nA1,a@example.com,SE,x\n")
    assert Result.PASSED is next(iter(CONNECTOR.check(api))).result
    assert not (tmp_path / "out").exists()
