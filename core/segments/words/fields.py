"""Fields: canonical ones by their own name, a vendor's by its connection's, any name at all by `field` and `prop`."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from core.config.names import suggest
from core.contract import Kind
from core.segments.tree import CompanyField, Condition, Exists, Not, ProfileField, SourceField
from core.segments.tree_constants import Type
from core.segments.tree_events import Property
from core.segments.vocabulary import COMPANY_FIELDS, PROFILE_FIELDS, StreamWords
from core.segments.words.entry import Entry

if TYPE_CHECKING:
    from core.segments.reader import Reader
    from core.segments.words.call import Call

OF_CATALOGUE: Final = {
    "text": Type.TEXT,
    "country": Type.TEXT,
    "language": Type.TEXT,
    "integer": Type.NUMBER,
    "number": Type.NUMBER,
    "money": Type.NUMBER,
    "boolean": Type.BOOLEAN,
    "time": Type.TIME,
}
"""What a landing column's type is to the language; a list (json) is open: each of its items is a value."""


def profile_field(reader: Reader, node: ast.expr, name: str) -> ProfileField:
    """`country`, `email`, `created_at`."""
    if not reader.scope.vocabulary.feeding(Kind.PROFILE, name):
        raise reader.error(node, f"no configured stream gives {name}", "add a connection that does, or map a field to it")
    return ProfileField(name, PROFILE_FIELDS[name])


def company_field(reader: Reader, node: ast.expr, name: str) -> CompanyField:
    """`company.employees`."""
    if name not in COMPANY_FIELDS:
        raise reader.error(node, f"a company has no {name}", suggest(name, COMPANY_FIELDS))
    if not reader.scope.vocabulary.feeding(Kind.COMPANY, name):
        raise reader.error(
            node, f"no configured stream gives company.{name}", "add a connection that does, or map a field to it"
        )
    return CompanyField(name, COMPANY_FIELDS[name])


def field(call: Call) -> SourceField:
    """`field("crm.contacts", "$city")`: a field of any name."""
    node = call.argument(0, 'a stream such as "crm.contacts"')
    connection, _, stream = call.text_of(node, 'a stream such as "crm.contacts"').partition(".")
    name = call.text(1, "the name of a field")
    call.end(2)
    known = call.reader.scope.vocabulary.of_connection(connection)
    if not known:
        raise call.error(
            node, f"{connection} is not a connection", suggest(connection, call.reader.scope.vocabulary.connections)
        )
    if stream:
        found = [s for s in known if s.name == stream]
        if not found:
            raise call.error(node, f"{connection} has no stream {stream}", suggest(stream, [s.name for s in known]))
        return _of_stream(call.reader, node, found[0], name)
    return _of_any(call.reader, node, known, name)


def prop(call: Call) -> Property:
    """`prop("$browser")`: a property of any name, inside `where=`."""
    if call.reader.scope.event is None:
        raise call.error(call.node, "prop(...) stands inside where= only")
    name = call.text(0, "the name of a property")
    call.end(1)
    return Property(name)


def exists(call: Call) -> Exists:
    """`exists(x)`: there is a value."""
    node = call.argument(0, "a field")
    call.end(1)
    return Exists(call.reader.value(node))


def missing(call: Call) -> Condition:
    """`missing(x)`: there is none."""
    return Not(exists(call))


def source_field(reader: Reader, node: ast.expr, connection: str, steps: Sequence[str]) -> SourceField:
    """`crm.lifecyclestage`, `crm.contacts.lifecyclestage`; a field's own name may hold dots (`crm.address.city`)."""
    known = reader.scope.vocabulary.of_connection(connection)
    named = next((s for s in known if s.name == steps[0]), None)
    if named is not None and len(steps) > 1:
        return _of_stream(reader, node, named, ".".join(steps[1:]))
    if named is not None and not any(steps[0] in s.columns for s in known):
        raise reader.error(
            node, f"{connection}.{steps[0]} is a stream", f"name a field of it: {connection}.{steps[0]}.something"
        )
    return _of_any(reader, node, known, ".".join(steps))


def _of_any(reader: Reader, node: ast.expr, streams: Sequence[StreamWords], name: str) -> SourceField:
    """Find the one stream of a connection that has the field; leave it open while that cannot be known."""
    having = [s for s in streams if name in s.columns]
    if len(having) == 1:
        return _of_stream(reader, node, having[0], name)
    if having:
        ways = " or ".join(f"{s.text}.{name}" for s in having)
        raise reader.error(node, f"{name} is a field of {len(having)} streams", f"write {ways}")
    open_ = [s for s in streams if not s.completed and s.kinds != {Kind.EVENT}]
    if not open_:
        known = {f for s in streams for f in s.columns}
        raise reader.error(node, f"{streams[0].connection} has no field {name}", suggest(name, known))
    return SourceField(streams[0].connection, open_[0].name if len(open_) == 1 else "", name)


def _of_stream(reader: Reader, node: ast.expr, stream: StreamWords, name: str) -> SourceField:
    if stream.kinds == {Kind.EVENT}:
        raise reader.error(node, f"{stream.text} is a stream of events", "ask did(...) or count(...) with where=")
    column = stream.columns.get(name)
    if column is None and stream.completed:
        raise reader.error(node, f"{stream.text} has no field {name}", suggest(name, stream.columns))
    type_ = (
        OF_CATALOGUE.get(column.type, Type.ANY) if column is not None and not (column.changed or column.missing) else Type.ANY
    )
    return SourceField(stream.connection, stream.name, name, type_)


ENTRIES: Final = (
    Entry("email", "email", "The address of the person, trimmed and in lower case.", 'email.endswith("@example.com")'),
    Entry("user_id", "user_id", "The id of the person in your own product.", "exists(user_id)"),
    Entry("first_name", "first_name", "The given name.", "missing(first_name)"),
    Entry("last_name", "last_name", "The family name.", 'last_name == "Berg"'),
    Entry("phone", "phone", "The telephone number as the source has it.", "exists(phone)"),
    Entry(
        "country",
        "country",
        "The country, by its code or its name in any language that the library knows.",
        'country in ["SE", "Finland", "NO"]',
    ),
    Entry("language", "language", "The language, by its code or its name, without a region.", 'language == "sv"'),
    Entry("timezone", "timezone", "The time zone by its IANA name.", 'timezone.startswith("Europe/")'),
    Entry("job_title", "job_title", "The title at work.", 'job_title.contains("marketing")'),
    Entry(
        "created_at", "created_at", "When the person was first known to the source that wins.", 'within_last(created_at, "14d")'
    ),
    Entry("lifecycle_stage", "lifecycle_stage", "The stage in the CRM.", 'lifecycle_stage == "customer"'),
    Entry("owner", "owner", "Who in your team the person belongs to.", "missing(owner)"),
    Entry(
        "company",
        "company.FIELD",
        "A canonical field of the person's company: name, domain, industry, employees, revenue, country, created_at.",
        "company.employees >= 50",
    ),
    Entry(
        "CONNECTION",
        "CONNECTION.FIELD, CONNECTION.STREAM.FIELD",
        "A vendor's own field, by the name of its connection; any of the person's records may match.",
        'crm.stage == "customer" and crm.contacts.score > 10',
    ),
    Entry(
        "field", "field(STREAM, NAME)", "A vendor's own field of any name at all.", 'field("crm.contacts", "$city") == "Umeå"'
    ),
    Entry(
        "prop",
        "prop(NAME)",
        "A property of any name, inside `where=`.",
        'did("Page Viewed", where=prop("$browser") == "Firefox")',
    ),
    Entry("exists", "exists(x)", "There is a value.", "exists(company.domain)"),
    Entry("missing", "missing(x)", "There is no value.", "missing(country)"),
)
