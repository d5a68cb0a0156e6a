"""What a connector says about its vendor: who it is, where it lives, how much it may be asked, how it is signed in to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from datetime import date
from enum import StrEnum
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, SecretStr, ValidationInfo, field_validator


class Category(StrEnum):
    """What sort of tool a vendor is; decides trust, consent and which source wins for a field."""

    CRM = "crm"
    BILLING = "billing"
    SURVEY = "survey"
    ANALYTICS = "analytics"
    EMAIL = "email"
    SUPPORT = "support"
    FILE = "file"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class Limit:
    """A rate that the vendor permits: *amount* requests in every *per_s* seconds."""

    amount: float
    _: KW_ONLY
    per_s: float = 1.0
    concurrency: int | None = None
    """Requests under way at once; None where the vendor states no such limit."""
    paths: tuple[str, ...] = ()
    """Path globs (fnmatch, relative to the base URL) that the limit is for; empty means every request."""
    cost: float = 1.0
    """How much of *amount* one request takes."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The facts of a vendor, each from its own pages."""

    name: str
    """The connector's name: its folder, and `connector = "..."` in the config."""
    title: str
    _: KW_ONLY
    category: Category
    base_url: str
    """Empty where there is no HTTP (files), or where the settings give the host (see `Settings.base_url`)."""
    hosts: tuple[str, ...]
    """Host suffixes that credentials may be sent to. Loopback is always allowed."""
    docs_url: str
    api_version: str
    limits: Sequence[Limit] = ()
    checked_on: date
    """When a person last held these facts against the vendor's pages."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request: a pinned version, an Accept."""
    host_in_settings: bool = False
    """Each account has a host of its own under no suffix that the vendor promises: the settings' base URL names one more."""
    scopes: Mapping[str, str] = field(default_factory=dict)
    """What the credentials must be allowed, by the vendor's own word, and what for; empty where a key may do all."""


class Settings(BaseModel):
    """
    The keys of a `[connections.NAME]` table that belong to the connector. Subclass and add credentials as `SecretStr`.

    A `SecretStr` may be written in the config as a string, `{ env = "VAR" }` or `{ file = "/path" }`; it is resolved when
    the connection is opened, so a config loads without any secret set.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    unused: ClassVar[Mapping[str, str]] = {}
    """Of the two keys below those that mean nothing to the connector, each with why: refused, and offered nowhere."""

    base_url: str | None = None
    """Overrides the manifest's, for a sandbox or a proxy."""
    start: date | None = None
    """How far back the first pull goes; as far as the vendor has, if left out."""

    @field_validator("base_url", "start", mode="before")
    @classmethod
    def _means_something(cls, value: object, info: ValidationInfo) -> object:
        why = cls.unused.get(info.field_name or "")
        if why is not None:
            raise ValueError(f"means nothing here: {why}")
        return value


@dataclass(frozen=True, slots=True)
class Bearer:
    """`Authorization: Bearer <token>`."""

    token: SecretStr


@dataclass(frozen=True, slots=True)
class Basic:
    """HTTP Basic."""

    username: str
    password: SecretStr


@dataclass(frozen=True, slots=True)
class HeaderKey:
    """A key in a header of the vendor's own."""

    name: str
    value: SecretStr


@dataclass(frozen=True, slots=True)
class QueryKey:
    """A key in the query string; it is kept out of logs and errors like any other."""

    name: str
    value: SecretStr


@dataclass(frozen=True, slots=True)
class OAuth2:
    """
    A token that is fetched and refreshed (authlib), kept in the system keyring or a file beside the database.

    `refresh` starts from *refresh_token*, or, where that is None, from what `tagalong connect` kept; a rotated one is kept
    before the old one is forgotten. `client_credentials` needs only client id and secret. `jwt_bearer` signs an assertion with
    *private_key*: `iss` is *client_id*, `sub` *subject*, `aud` *audience*, `scope` the scopes, and it lives for 3 minutes.
    A token that came with neither an end nor a refresh token is used until it is refused.
    """

    token_url: str
    _: KW_ONLY
    client_id: str
    client_secret: SecretStr | None = None
    grant: Literal["refresh", "client_credentials", "jwt_bearer"] = "refresh"
    refresh_token: SecretStr | None = None
    private_key: SecretStr | None = None
    subject: str | None = None
    audience: str | None = None
    """The `aud` of a JWT, *token_url* if left out; for client credentials the form's `audience`, sent only where given."""
    key_id: str | None = None
    """The `kid` in the header of a JWT."""
    scopes: tuple[str, ...] = ()
    """The least that the connector needs."""
    scope_separator: str = " "
    base_url_key: str | None = None
    """Key of the token answer that holds the base URL to use (`instance_url`); its host must be one of the manifest's."""
    base_url_path: str = ""
    """What the API's base URL has after what *base_url_key* gives (`/3.0`)."""
    metadata_url: str = ""
    """Asked with the token (in *scheme*) for *base_url_key*, where the token answer lacks it; on a host of the manifest's."""
    scheme: str = "Bearer"
    refresh_on: tuple[int, ...] = (401,)
    """Statuses on which the token is refreshed once and the request sent again."""
    token_auth: Literal["client_secret_post", "client_secret_basic"] = "client_secret_post"
    authorize_url: str = ""
    """Where `tagalong connect` sends a person to sign in; empty where the vendor, or these settings, have no such page."""
    authorize_params: Mapping[str, str] = field(default_factory=dict)
    """What that address has besides the usual (`access_type=offline`)."""
    pkce: bool = True
    """Whether the vendor takes a code challenge (S256)."""
    token_host_param: str = ""
    """
    Parameter of the redirect that holds the origin (`https://accounts.vendor.eu`) at which this account's tokens are fetched
    and renewed, with the path of *token_url*; its host must be one of the manifest's.
    """
    busy_errors: Mapping[str, float] = field(default_factory=dict)
    """`error` of the token endpoint that means "too often", and how many seconds to stay away then."""
    revoke_hint: str = ""
    """Where at the vendor a person takes the permission back; `tagalong connect NAME --forget` tells it."""


Auth = Bearer | Basic | HeaderKey | QueryKey | OAuth2 | None
"""What `auth(settings)` of a connector returns; None for a vendor without credentials (files)."""
