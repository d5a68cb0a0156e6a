"""A stream that is taken out of the config keeps its rows, and nobody sees them: the harm without its guard."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from support.story import held

from core.config.load import load_config
from core.hub import Hub
from core.planning.approve import approve
from core.run import sync

CONFIG = """
[connections.exports]
connector = "files"
folder = "out"
[connections.exports.streams.accounts]
path = "accounts.csv"
kind = "profile"
key = "id"
identifiers = { user_id = "id" }
[connections.exports.streams.clicks]
path = "clicks.csv"
kind = "event"
key = "id"
identifiers = { user_id = "user" }
time = "at"
event_column = "what"
[segments.idle]
where = 'not did("Signed In")'
[[syncs]]
segment = "idle"
to = "exports"
audience = { file = "idle" }
guard = { adds = 1000, removals = 1000 }
"""
USAGE = CONFIG[CONFIG.index("[connections.exports.streams.clicks]") : CONFIG.index("[segments.idle]")].replace(
    "clicks", "usage"
)


class House:
    """Thirty people who signed in, as one of two files of events tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        events = "".join(f"{n},u{n},2026-01-20T10:00:00Z,Signed In\n" for n in range(30))
        (folder / "accounts.csv").write_text("id\n" + "".join(f"u{n}\n" for n in range(32)))
        (folder / "usage.csv").write_text(f"id,user,at,what\n{events}")
        (folder / "clicks.csv").write_text("id,user,at,what\n1,u30,2026-01-20T10:00:00Z,Signed In\n")

    def hub(self, config: str) -> Hub:
        path = self.folder / "tagalong.toml"
        path.write_text(config)
        path.chmod(0o600)
        return Hub(load_config(path, {}), clock=lambda: datetime(2026, 2, 2, 12, tzinfo=UTC), environ={})

    def there(self) -> int:
        return len((self.folder / "out/idle.csv").read_text().splitlines()) - 1


def test_who_was_active_would_be_idle(tmp_path: Path) -> None:
    """Without it a stream that is commented out for an hour puts everybody on the list of those who never came."""
    bare, house = House(tmp_path / "bare"), House(tmp_path / "house")
    for each in (bare, house):
        sync(each.hub(CONFIG + USAGE))
        assert 1 == each.there()
    sync(bare.hub(CONFIG), source_guards=(), size_guards=())
    assert 31 == bare.there()

    assert {"idle_to_exports": ["vanished"]} == held(sync(house.hub(CONFIG)))
    assert 1 == house.there()
    assert {} == held(sync(house.hub(CONFIG + USAGE))), "it is back"
    sync(house.hub(CONFIG))
    approve(house.hub(CONFIG), "exports.usage")
    sync(house.hub(CONFIG))
    assert 31 == house.there()
