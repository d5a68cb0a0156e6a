"""`[alerts.*]`: what is wrong is said when the config loads, and no secret is in the message."""

from __future__ import annotations

from pathlib import Path

import pytest
from globex_config import Write

from core.config.alerts import endpoint, secret_problem
from core.config.model import AlertState
from core.config.secrets import exposed_secrets
from core.errors import ConfigError

SLACK = '[alerts.team]\nkind = "slack"\nurl = { env = "SLACK" }\n'
HOOK = '[alerts.team]\nkind = "webhook"\nurl = { env = "HOOK" }\nsecret = { env = "SECRET" }\n'


def test_the_defaults(load: Write) -> None:
    """All states, the daemon, five in a hundred or 20."""
    (alert,) = load(SLACK).alerts.values()

    assert ("team", "slack", frozenset(AlertState), "daemon", True) == (
        alert.name, alert.kind, alert.on, alert.when, alert.enabled,
    )  # fmt: skip
    assert (0.05, 20) == (alert.rejected_share, alert.rejected_count)


@pytest.mark.parametrize(("text", "share", "count"), [('"10%"', 0.1, 0), ("50", 0.0, 50)])
def test_how_many_refusals_are_too_many(load: Write, text: str, share: float, count: int) -> None:
    """A share or a count."""
    (alert,) = load(f"{SLACK}rejected = {text}\n").alerts.values()

    assert (share, count) == (alert.rejected_share, alert.rejected_count)


@pytest.mark.parametrize(
    ("text", "key", "message"),
    [
        (SLACK.replace("slack", "teams"), "alerts.team.kind", "must be 'slack' or 'webhook'"),
        (SLACK.replace("url", "# url"), "alerts.team.url", "is required"),
        (SLACK + 'secret = { env = "X" }\n', "alerts.team.secret", "belongs to a webhook"),
        (HOOK.replace("secret =", "on = []\n#"), "alerts.team.secret", "is required, to sign with"),
        (HOOK.replace('{ env = "SECRET" }', '"CANARYQUFBQQ=="'), "alerts.team.secret", "is too short"),
        (HOOK.replace('{ env = "SECRET" }', '"CANARY secret!"'), "alerts.team.secret", "is not base64"),
        (SLACK.replace('{ env = "SLACK" }', '"http://example.com/CANARY"'), "alerts.team.url", "is not https"),
        (SLACK.replace('{ env = "SLACK" }', '"ftp://example.com/CANARY"'), "alerts.team.url", "is no address"),
        (SLACK.replace('{ env = "SLACK" }', '"https://u:CANARY@example.com"'), "alerts.team.url", "has a user or password"),
        (SLACK.replace('{ env = "SLACK" }', "7"), "alerts.team.url", "is no secret"),
        (SLACK + 'on = ["broken"]\n', "alerts.team.on.0", "must be"),
        (SLACK + 'rejected = "200%"\n', "alerts.team.rejected", "must be a share"),
        (SLACK + 'repeat = "1h"\n', "alerts.team.repeat", "unknown key"),
        (SLACK.replace("team", "The-Team"), "alerts.The-Team", "cannot be the name of an alert"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(load: Write, text: str, key: str, message: str) -> None:
    """And never with the secret."""
    with pytest.raises(ConfigError) as caught:
        load(text)

    (problem,) = caught.value.problems
    assert key == problem.key
    assert message in problem.message
    assert "CANARY" not in str(caught.value)


def test_loopback_needs_no_https(load: Write) -> None:
    """For a relay on this machine."""
    (alert,) = load(SLACK.replace('{ env = "SLACK" }', '"http://127.0.0.1:9/x"')).alerts.values()

    assert "http://127.0.0.1:9/x" == endpoint(alert, Path(), {}).url


def test_a_secret_from_elsewhere_is_judged_when_it_is_needed(load: Write) -> None:
    """By the same rules; the message names the key and not the value."""
    (alert,) = load(HOOK).alerts.values()
    for environ in ({"HOOK": "http://example.com/CANARY", "SECRET": "CANARY"}, {"HOOK": "https://example.com"}):
        with pytest.raises(ConfigError) as caught:
            endpoint(alert, Path(), environ)
        assert "CANARY" not in str(caught.value)
        for problem in caught.value.problems:
            assert problem.file and problem.line, "as where it is written out in the file"
            assert problem.key in ("alerts.team.url", "alerts.team.secret")
            assert problem.remedy or "openssl" in problem.message


def test_it_may_come_from_the_environment_whole(load: Write) -> None:
    """As any setting of a named table."""
    config = load(SLACK, environ={"TAGALONG_ALERTS__TEAM__URL": "https://example.com/x", "TAGALONG_ALERTS__TEAM__ENABLED": "0"})

    assert not config.alerts["team"].enabled


def test_a_secret_that_others_may_read_is_reported(load: Write, tmp_path: Path) -> None:
    """Slack's address is one."""
    config = load(SLACK.replace('{ env = "SLACK" }', '"https://example.com/x"'))
    (tmp_path / "tagalong.toml").chmod(0o644)

    assert ["alerts.team.url"] == [place.key for place in exposed_secrets(config)]


def test_a_secret_with_and_without_its_prefix() -> None:
    """As receivers hand them out."""
    assert secret_problem("whsec_" + "QUFB" * 8) is None
    assert secret_problem("QUFB" * 8) is None
