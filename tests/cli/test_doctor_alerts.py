"""`tagalong doctor` on alerts that do not arrive."""

from __future__ import annotations

from pathlib import Path

from workspace import CONFIG, Type


def test_alerts_that_do_not_arrive_are_found(type_: Type, tmp_path: Path) -> None:
    """Whoever would have been told of everything else is told nothing."""
    alert = '[alerts.team]\nkind = "slack"\nurl = { env = "NOT_SET" }\nwhen = "always"\n'
    (tmp_path / "tagalong.toml").write_text(CONFIG + alert)
    assert 0 == type_("sync").code
    (tmp_path / "data/accounts.csv").unlink()
    type_("sync")
    (found,) = [one for one in type_("doctor", "--json").json["checks"] if one["check"] == "alerts"]
    assert "warned" in found.values()
    assert "1 undelivered, 0 given up; away: team" in found.values()
