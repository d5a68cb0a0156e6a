"""
What can be pushed to: audiences (tags, lists, fields, files) and the verdict on each member.

A connector says how to find, make and change an audience; the core batches, paces, retries, halves, keeps the ledger and
decides who is added and removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from core.contract.api import Api


Of = Literal["person", "company"]
"""What the members of an audience are."""
PLURAL: Final[Mapping[Of, str]] = {"person": "people", "company": "companies"}


class Verdict(StrEnum):
    """What became of one member."""

    DONE = "done"
    """The answer confirms it."""
    NOOP = "noop"
    """It was so already; never makes a member ours."""
    SENT = "sent"
    """Accepted, and the vendor offers no proof."""
    PENDING = "pending"
    """A job took it; `settle` will tell."""
    RETRY = "retry"
    """Not now; the core tries again."""
    NOT_FOUND = "not_found"
    """The destination does not know the person; asked again after a day or when the record there changes."""
    SUPPRESSED = "suppressed"
    """The destination will not have the person (forgotten, unsubscribed for good); asked again like not_found."""
    REJECTED = "rejected"
    """Refused for a reason of its own; a dead letter."""


class Op(StrEnum):
    """Which way a member goes."""

    ADD = "add"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Ref:
    """Who a member is at the destination."""

    remote_id: str
    _: KW_ONLY
    handle: str | None = None
    """What removal needs where that is not the remote id; the ledger keeps it and hands it back."""
    object: str | None = None
    """The vendor's type of the object, where one audience holds several (lead, contact)."""


@dataclass(frozen=True, slots=True)
class Change:
    """An add: *values* are empty for a tag, the fields of a `field` audience, the columns of a file."""

    ref: Ref
    values: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody to be created at the destination, never as subscribed. *key* is what `find` would have been asked for."""

    key: str
    values: Mapping[str, object] = field(default_factory=dict)
    """first_name, last_name where known."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The verdict on one member. *ref* is the one asked for, with the handle filled in where the answer gives one."""

    ref: Ref
    verdict: Verdict
    _: KW_ONLY
    reason: str = ""
    """The vendor's code or a word of ours; never an address or a body."""
    message: str = field(default="", compare=False, repr=False)
    """The vendor's own words on a refusal, as they came; the core masks them before they are kept or shown."""
    job: str | None = None
    """With PENDING: what `settle` is asked with. One job may cover many members."""


class Unsupported:
    """The type of `UNSUPPORTED`."""


UNSUPPORTED: Final = Unsupported()
"""Returned by `Audience.members` where the vendor cannot tell who is there."""


class Params(BaseModel):
    """The keys of a `[[syncs]]` table that belong to the audience. Subclass to add some (`columns`, `campaign`)."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Audience:
    """
    One kind of audience at a vendor. Made by the core with the sync's params; holds no other state.

    Every method that reaches the vendor takes *api* first; *audience_id* is the remote id that `lookup` or `create` gave.
    """

    kind: ClassVar[str]
    """`tag`, `list`, `field`, `file`: set by `AudienceSet.add`."""
    Params: ClassVar[type[Params]] = Params
    of: ClassVar[Of] = "person"
    """
    What its members are: a segment of the same can be pushed to it, and no other.

    Companies are known by the records of the stream that `ids_from` names, which is required of them, and by nothing else: no
    `find`, no `create_people`, no `key_kind` and no `wanted_fields`.
    """
    key_kind: ClassVar[str] = "email"
    """The identifier kind by which people are known there: what `find` is asked with and the ledger is keyed by."""
    max_batch: ClassVar[int] = 100
    """Members a call, adds and removes each."""
    concurrency: ClassVar[int] = 1
    """Batches under way at once."""
    repeat: ClassVar[Literal["safe", "side_effects"]] = "safe"
    """`side_effects`: sending twice does more than sending once, so the core reads before it sends again."""
    path: ClassVar[str] = ""
    """Where `apply` writes, as the globs of the manifest's limits see it; tells how long a plan takes."""
    ids_from: ClassVar[str | None] = None
    """This connection's own stream whose record keys are remote ids; asked before `find`."""
    whole: ClassVar[bool] = False
    """The audience is written all at once by `replace` instead of `apply`."""
    find_batch: ClassVar[int] = 100
    """Keys a `find` call takes."""
    seeded: ClassVar[bool] = False
    """The vendor cannot make an empty audience: `create` is given somebody to put in."""

    def __init__(self, params: BaseModel) -> None:
        self.params = params

    def wanted_fields(self) -> Sequence[str]:
        """Traits and canonical fields (and `profile_id`, `email`, `user_id`) that each Change carries; none for a tag."""
        return ()

    def check_name(self, name: str) -> str | None:
        """Return what is wrong with the audience name (too long, a forbidden character), or None. Asks nobody."""
        return None

    def lookup(self, api: Api, name: str) -> str | None:
        """Return the remote id of the audience called *name*, or None. Reads only."""
        raise NotImplementedError

    def create(self, api: Api, name: str, seed: Sequence[Ref]) -> str:
        """
        Make the audience and return its remote id.

        *seed* is empty, unless the class is `seeded`: then it is the first member to be added, whom `create` puts in (and it
        is empty only where everybody is yet to be made there). The core keeps it before it asks, so that it is ours whatever
        becomes of the answer, and adds it again afterwards.
        """
        raise NotImplementedError

    def find(self, api: Api, keys: Sequence[str]) -> Mapping[str, Sequence[Ref]]:
        """
        Return who the destination knows under each key; two refs are a duplicate, and the member is skipped.

        Leave it out where everybody is known by the very key: nobody is asked then.
        """
        raise NotImplementedError

    create_people: ClassVar[Callable[..., Sequence[Outcome]] | None] = None
    """
    `create_people(self, api, people: Sequence[Person]) -> Sequence[Outcome]`, in order, DONE with the new ref. Define it as a
    method where the vendor can create people without subscribing them; without it `create_missing` is a config error.
    """

    def apply(self, api: Api, audience_id: str, adds: Sequence[Change], removes: Sequence[Ref]) -> Sequence[Outcome]:
        """
        Change one batch of members.

        Returns:
            One outcome per member, adds first, in the order given.
        Raises:
            RejectedError: the vendor refuses the batch and names no member; the core halves it.
        """
        raise NotImplementedError

    def replace(self, api: Api, audience_id: str, members: Iterator[Change]) -> None:
        """For `whole` audiences: make *members* all there is, atomically."""
        raise NotImplementedError

    def settle(self, api: Api, audience_id: str, job: str) -> Mapping[str, Outcome] | None:
        """
        Return the outcome of each member of *job* by remote id, or by handle where the job knows only that; None while it runs.

        Raises:
            NotFoundError: the vendor knows nothing of the job any more.
        """
        raise NotImplementedError

    def members(self, api: Api, audience_id: str) -> Iterator[Sequence[Ref]] | Unsupported:
        """Return who is there, in pages, or UNSUPPORTED."""
        return UNSUPPORTED

    def cost(self, adds: int, removes: int) -> int:
        """Return how many requests `apply` takes for so many members."""
        return -(-max(adds, removes) // self.max_batch)


class AudienceSet(dict[str, type[Audience]]):
    """The audiences of a connector by kind."""

    def add(self, kind: str) -> Callable[[type[Audience]], type[Audience]]:
        """Register the decorated class as the audience *kind*."""

        def register(cls: type[Audience]) -> type[Audience]:
            if kind in self:
                raise ValueError(f"two audiences are called {kind}")
            cls.kind = kind
            self[kind] = cls
            return cls

        return register
