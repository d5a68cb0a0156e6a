"""
A plan as a document: what `tagalong plan --json` writes and `tagalong sync --plan` reads.

It holds profile ids (roaring bitmaps in base64) and fingerprints of what would be sent, and no address. It is sealed with the
store's own key, so that a document of another store, or one that somebody edited, is not taken for a plan. What a document says
is compared with the world by `core.planning.apply`.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import KW_ONLY, asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pyroaring import BitMap

from core.config.model import SyncConfig
from core.errors import ConfigError, Problem
from core.planning.effects import SIZE, Effects, Way, before_us, effects_of
from core.planning.plan import Plan
from core.store import Store
from core.store.seal import Seal

FORMAT: Final = 1
SENT_BY: Final = (
    "segment", "partition", "to", "audience_kind", "audience_name", "params", "mode", "create_missing", "require_consent",
    "baseline",
)  # fmt: skip
"""What of a sync's table decides whom it sends what. A schedule or a guard does not."""


@dataclass(frozen=True, slots=True)
class Planned:
    """What a document says of one audience."""

    sync: str
    label: str
    _: KW_ONLY
    definition: str
    """Hash of the set's text, and of all that it names."""
    settings: str
    """Hash of what the sync is."""
    account: str
    remote_id: str | None
    """None: the audience was still to be made."""
    sends: Mapping[Way, Effects]
    before_us: str | None = None
    """Fingerprint of what is done with who was there before us; None: nothing."""

    @property
    def size(self) -> int:
        """How many it names."""
        return sum(len(effects.ids) for effects in self.sends.values())


@dataclass(frozen=True, slots=True)
class Document:
    """A plan that somebody looked at."""

    made_at: str
    as_of: str
    planned: tuple[Planned, ...]

    @property
    def syncs(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one.sync for one in self.planned))


def settings_of(sync: SyncConfig) -> str:
    """Return what tells a sync from one that would send other people, or send them elsewhere."""
    table = asdict(sync)
    told = json.dumps([table[name] for name in SENT_BY], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def describe(store: Store, plan: Plan, seal: Seal) -> dict[str, Any]:
    """Return what a document has of *plan* beside what is there to be read."""
    bound = plan.draft.bound
    return {
        "account": bound.account,
        "remote_id": bound.row.remote_id if bound.row else None,
        "definition": plan.draft.definition,
        "settings": settings_of(plan.target.sync),
        "sends": {
            str(way): {**_people(effects.ids), "effects": _text(effects.prints)}
            for way, effects in effects_of(store, plan, seal.key).items()
        },
        "before_us": before_us(store, plan, seal.key),
        "skipped": {str(skip): _people(profiles) for skip, profiles in plan.skips.items() if profiles},
        "withheld": {
            way: _people(profiles) for way, profiles in (("adds", plan.held_adds), ("removes", plan.held_removes)) if profiles
        },
    }


def _people(profiles: BitMap) -> dict[str, Any]:
    return {"members": len(profiles), "ids": _text(profiles.serialize())}


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def sealed(document: Mapping[str, Any], seal: Seal) -> str:
    """Return the seal of a document in JSON's types; of the document but for its `seal`."""
    digest = hashlib.blake2b(key=seal.key, digest_size=32)
    rest = {name: value for name, value in document.items() if name != "seal"}
    for part in json.JSONEncoder(sort_keys=True, separators=(",", ":")).iterencode(rest):
        digest.update(part.encode())
    return digest.hexdigest()


# --- reading ---------------------------------------------------------------------------------------------------------


def read_document(path: Path, seal: Seal) -> Document:
    """
    Return the plan in the file *path*.

    Raises:
        ConfigError: it is no plan, or one of another version or store, or it is not as it was written.
    """
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise _bad(path, "", "is not UTF-8 text, so it is no plan") from None
    except OSError as error:
        raise _bad(path, "", f"cannot be read ({error.strerror})") from None
    found = _parsed(path, text)
    if not isinstance(found, dict) or "plans" not in found:
        raise _bad(path, "plans", "is no plan; `tagalong plan --json` writes one")
    if found.get("format") != FORMAT:
        if "format" not in found:
            raise _bad(path, "format", "is not to be carried out: --as-of wrote it, or a version that wrote no documents")
        raise _bad(path, "format", f"has another format; this version reads {FORMAT}")
    if found.get("store") != seal.store_id:
        raise _bad(path, "store", "is the plan of another store", "make the plan with the config that is to carry it out")
    if found.get("seal") != sealed(found, seal):
        raise _bad(path, "seal", "is not as it was written")
    try:
        return Document(found["made_at"], found["as_of"], tuple(_planned(one) for one in found["plans"]))
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        # it is sealed, so it was not edited: another build wrote it
        raise _bad(path, "plans", f"cannot be understood ({type(error).__name__})") from None


def _parsed(path: Path, text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a key stands twice")
        return found

    try:
        return json.loads(text, object_pairs_hook=once, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _bad(path, "", f"is not JSON, or only the beginning of it ({where})") from None
    except (ValueError, RecursionError):
        raise _bad(path, "", "is not JSON as `tagalong plan --json` writes it") from None


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _planned(found: Mapping[str, Any]) -> Planned:
    sends = {Way(way): _effects(sent) for way, sent in found["sends"].items()}
    return Planned(
        found["sync"], found["label"], definition=found["definition"], settings=found["settings"], account=found["account"],
        remote_id=found["remote_id"], sends=sends, before_us=found["before_us"],
    )  # fmt: skip


def _effects(found: Mapping[str, Any]) -> Effects:
    ids = BitMap.deserialize(base64.b64decode(found["ids"], validate=True))
    prints = base64.b64decode(found["effects"], validate=True)
    if len(prints) != SIZE * len(ids) or len(ids) != found["members"]:
        raise ValueError("members and effects do not match")
    return Effects(ids, prints)


def _bad(path: Path, key: str, message: str, remedy: str | None = None) -> ConfigError:
    problem = Problem(f"{message}; nothing was sent", file=str(path), key=key or None, remedy=remedy or "make the plan anew")
    return ConfigError(problem)
