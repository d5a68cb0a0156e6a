"""
Stripe, as a source of billing: customers, subscriptions with their MRR, invoices as payments.

Nothing is ever written at Stripe. How a stream is pulled is in `feed`, what a subscription is worth in `mrr`, and what the
vendor does that one would not think in QUIRKS.md.
"""

from __future__ import annotations

from datetime import date
from functools import partial

from pydantic import Field, SecretStr

from connectors.stripe.answers import check, classify
from connectors.stripe.feed import LOOKBACK, pull
from connectors.stripe.lists import mode
from connectors.stripe.mapping import at, language, payment_row, subscription_row
from connectors.stripe.sources import CUSTOMERS, INVOICES, SUBSCRIPTIONS
from core.contract import Api, Auth, Bearer, Category, Deletions, Erasure, Kind, Limit, Manifest, Stream
from core.contract import Settings as BaseSettings
from core.errors import AuthError, ConfigError

__all__ = ["ERASURE", "MANIFEST", "Settings", "account", "auth", "check", "classify", "streams"]

API_VERSION = "2026-06-24.dahlia"  # docs.stripe.com/changelog; without it each account answers in the shape of its own version

MANIFEST = Manifest(
    name="stripe",
    title="Stripe",
    category=Category.BILLING,
    base_url="https://api.stripe.com/v1",
    hosts=("stripe.com",),
    docs_url="https://docs.stripe.com/api",
    api_version=API_VERSION,
    checked_on=date(2026, 10, 1),
    headers={"Stripe-Version": API_VERSION},
    # docs.stripe.com/rate-limits: 100 a second for a live account and 25 for one endpoint, 25 for a sandbox. The account's
    # other systems live on the same 100, so we take a tenth.
    limits=[Limit(10, per_s=1, concurrency=4)],
    scopes={
        "Customers: Read": "customers, and a customer's own discount",
        "Subscriptions: Read": "subscriptions and their items",
        "Prices, Products, Coupons: Read": "tiers, names of plans, what a discount takes off",
        "Invoices, Charges and Refunds, Credit notes: Read": "payments, and what was given back",
        "Events: Read": "what changed since the last pull",
    },
)

ERASURE = Erasure(
    "deletes the customer, which ends every subscription at once",
    docs_url="https://docs.stripe.com/api/customers/delete",
    by_hand="Customers > the customer > Delete, or Redact where invoices must stay",
)
"""By hand alone: a person does it in the vendor's own pages."""


class Settings(BaseSettings):
    """The keys of a `[connections.NAME]` table."""

    key: SecretStr
    """A restricted key (`rk_live_...`), with read permissions only."""
    account_id: str | None = Field(default=None, pattern=r"^acct_\w+$")
    """Required with a restricted key, which may not read its own account. Settings > Account details in the dashboard."""
    user_id_metadata: str = "user_id"
    """The metadata key of a customer under which your own user id is kept."""
    paused_collection_counts: bool = False
    """Whether a subscription whose collection is paused stays active, with its MRR. Stripe's own figures say so."""
    start: date | None = None
    """Only invoices made since that day are read. Customers and subscriptions are always read whole."""


def auth(settings: Settings) -> Auth:
    """Return the key as a bearer token (docs.stripe.com/api/authentication)."""
    return Bearer(settings.key)


def account(api: Api) -> str:
    """Return the account's id and the key's mode: test and live are two accounts that share nothing."""
    if api.settings.account_id is not None:
        return f"{api.settings.account_id}/{mode(api)}"
    which = mode(api)
    try:
        body = api.get("/account")
    except AuthError as error:
        if error.status != 403:
            raise
        raise ConfigError(
            'this key may not read which Stripe account it is of (restricted keys may not): set account_id = "acct_..." '
            "in the connection, from Settings > Account details in the dashboard"
        ) from error
    return f"{body['id']}/{which}"


def streams(settings: BaseSettings) -> list[Stream]:
    """Return the three streams; the settings say where a customer's user id is and what a paused collection counts."""
    if not isinstance(settings, Settings):
        raise TypeError("the settings are another connector's")
    return [
        Stream(
            "customers",
            Kind.PROFILE,
            pull=partial(pull, CUSTOMERS),
            key="id",
            identifiers={
                "customer_id": "id",
                "user_id": f"metadata.{settings.user_id_metadata}",
                "email": "email",
            },
            fields={
                "email": "email",
                "phone": "phone",
                "country": "address.country",
                "language": language,
                "created_at": lambda customer: at(customer.get("created")),
            },
            lookback=LOOKBACK,
            deletions=Deletions.FEED,
        ),
        Stream(
            "subscriptions",
            Kind.SUBSCRIPTION,
            pull=partial(pull, SUBSCRIPTIONS),
            key="id",
            identifiers={"customer_id": "customer"},
            rows=partial(subscription_row, paused_counts=settings.paused_collection_counts),
            lookback=LOOKBACK,
            deletions=Deletions.FEED,
        ),
        Stream(
            "invoices",
            Kind.PAYMENT,
            pull=partial(pull, INVOICES),
            key="id",
            identifiers={"customer_id": "customer"},
            rows=payment_row,
            lookback=LOOKBACK,
            deletions=Deletions.FEED,
        ),
    ]
