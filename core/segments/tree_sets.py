"""
Tree nodes of sets, ranks, companies and history; plain frozen values as those in `tree`.

`type` is given by whoever makes a node, so that nothing here needs `tree` while that is being read.
"""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from core.segments.tree import Billing, CompanyField, Condition, ProfileField, Value
    from core.segments.tree_constants import Constant, Type
    from core.segments.tree_events import Window


@dataclass(frozen=True, slots=True)
class Percentile:
    """Where a person's value stands among all that have one, from 0 to 100 (SQL's percent_rank times 100)."""

    value: Value
    type: Type
    _: KW_ONLY
    anonymous: bool = False
    """Whether people without an e-mail or a user id are among them."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A number from 0 up to 1 that hangs on the person and the salt alone."""

    salt: str
    type: Type


@dataclass(frozen=True, slots=True)
class Top:
    """One of the *count* people with the largest value; of equals the lower profile id comes first."""

    value: Value
    count: int
    _: KW_ONLY
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class InList:
    """Named in a file, as it was when the definitions were made."""

    file: str
    digest: str
    """Of the file's content: another content is another leaf."""
    keys: tuple[tuple[str, tuple[str, ...]], ...] = field(compare=False, repr=False)
    """Kind of identifier (email, user_id, profile_id; company_domain, company_id) to values."""


@dataclass(frozen=True, slots=True)
class Changed:
    """A canonical field changed in the window, to one of *to* and from one of *before* where those are given."""

    value: ProfileField | CompanyField | Billing
    to: tuple[Constant, ...]
    before: tuple[Constant, ...]
    window: Window


OF_SUBSCRIPTION: Final = {
    "plan": "plan",
    "plan_interval": "interval",
    "subscription_status": "status",
    "seats": "quantity",
    "trial_ends_at": "trial_ends_at",
}
"""Billing words that are one field of a subscription, whose changes are kept."""


@dataclass(frozen=True, slots=True)
class FromSql:
    """The profiles that a query of the user's own yields."""

    text: str
    tables: tuple[str, ...] = ()
    """What it reads, as its text was checked."""


class Quantifier(StrEnum):
    """How many users of the company."""

    ANY = "any_user"
    ALL = "all_users"
    NO = "no_user"


@dataclass(frozen=True, slots=True)
class Users:
    """What holds for any, all or none of the users of the person's company; `all` over nobody is false, `no` true."""

    quantifier: Quantifier
    item: Condition
    _: KW_ONLY
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class CompanyIn:
    """The person's company is a member of a segment of companies."""

    name: str
