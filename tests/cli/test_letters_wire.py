"""From a vendor's refusal on the wire to the line that a person reads, and back: retried, the member is in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from support.place import Place, place
from support.world import load_everything

from core.cli import main
from core.cli.app import App
from core.contract import Fault

TOKEN = "9f8e7d6c5b4a39281706f5e4d3c2b1a0"


def typed(here: Place, *words: str) -> Any:
    app = App(clock=lambda: here.now)
    result = CliRunner().invoke(main, [*words, "--config", str(here.folder / "tagalong.toml"), "--json"], obj=app)
    return json.loads(result.stdout)


def test_a_refusal_is_read_masked_and_tried_again(tmp_path: Path) -> None:
    """The vendor quotes the address, a key of ours and its own trace; what is left says what is wrong."""
    addresses = [row["email"].lower() for row in load_everything.rows("members", people=12) if row["status"] == "subscribed"][
        :3
    ]
    with place(tmp_path / "here", "encharge", kind="tag", people=12) as here:
        said = f"{addresses[0]} cannot be tagged: the plan is full (trace {TOKEN}, api_key=abc123)"
        refusal = Fault(422, {"content-type": "application/json"}, json.dumps({"error": {"message": said}}).encode())
        refused: list[int] = []

        def refuse(method: str, path: str, number: int) -> Fault | None:
            if method == "POST" and path.endswith("/tags") and not refused:
                refused.append(number)
                return refusal
            return None

        here.served.faults = refuse
        here.want(addresses)
        assert 1 == here.sync().new_dead_letters
        (letter,) = typed(here, "dead-letters")["dead_letters"]
        assert "[address] cannot be tagged: the plan is full (trace [secret], api_key=[secret])" == letter["message"]
        with (here.folder / "tagalong.db").open("rb") as file:
            assert TOKEN.encode() not in file.read()

        assert [letter["id"]] == typed(here, "dead-letters", "retry", str(letter["id"]))["retried"]
        here.later(minutes=1)
        here.sync()
        assert set(addresses) == here.there()
        assert [] == typed(here, "dead-letters")["dead_letters"]
