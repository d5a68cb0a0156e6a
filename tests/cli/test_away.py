"""What a person sees of a vendor that is left alone, and of a quota that is kept for them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from workspace import CONFIG, Type

from core.cli.tables import show_pulls
from core.clock import to_us
from core.store import Store, outages


def leave_alone(path: Path, now: datetime) -> None:
    with Store(path) as store, store.atomic() as conn:
        for _ in range(5):
            outages.failed(conn, "exports", "GET /x: no answer in time", at=now)
        outages.leave_alone(conn, "exports", at=now, until=now + timedelta(minutes=4))


def test_status_says_since_when_and_until_when(type_: Type, tmp_path: Path) -> None:
    """And a probe of the machine's health fails, though every run so far went well."""
    type_("sync")
    assert 0 == type_("status", "--check").code
    leave_alone(tmp_path / "tagalong.db", datetime.now(UTC))

    assert 1 == type_("status", "--check").code
    text = type_("status").out
    assert "left alone until" in text
    assert "no answer in time" in text
    (one,) = type_("status", "--json").json["connections"]
    assert {"since", "failures", "until", "reason"} == one["away"].keys()
    assert 5 == one["away"]["failures"]


def test_a_run_that_waits_for_a_vendor_does_not_blame_a_quota(capsys: pytest.CaptureFixture[str]) -> None:
    until, error = datetime(2026, 3, 1, 12, 4, tzinfo=UTC), "5 requests in a row brought no answer"
    pull = {"connection": "crm", "status": "waiting", "streams": [], "error": error, "resume_at": until, "requests": 0}
    show_pulls([pull])
    assert f"crm: waits until 2026-03-01 12:04Z ({error})" in capsys.readouterr().out


def test_status_says_that_a_quota_is_kept(type_: Type, tmp_path: Path) -> None:
    """It is nothing that fails."""
    type_("sync")
    with Store(tmp_path / "tagalong.db") as store, store.atomic() as conn:
        conn.execute("UPDATE connections SET kept_until = ?", (to_us(datetime.now(UTC) + timedelta(hours=3)),))

    assert "kept for people until" in type_("status").out
    assert 0 == type_("status", "--check").code


@pytest.mark.parametrize("reserve", ["lots", "95%", "-1%", "20", "%", ""])
def test_a_reserve_that_means_nothing_is_refused(type_: Type, tmp_path: Path, reserve: str) -> None:
    """With the key and what to write; a quota that is all kept would be a daemon that does nothing."""
    config = CONFIG.replace('connector = "files"', f'connector = "files"\nreserve = "{reserve}"', 1)
    (tmp_path / "tagalong.toml").write_text(config)
    said = type_("segments")

    assert 2 == said.code
    assert "connections.exports.reserve" in said.err
    assert "from '0%' to '90%'" in said.err
