"""Words of sets: other segments, the groups of a partition, a file of people, and a query of the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from core.config.names import suggest
from core.segments.list_files import COMPANIES, PEOPLE, ListError, read_list
from core.segments.sql_guard import Refused
from core.segments.tree import InSegment
from core.segments.tree_sets import CompanyIn, FromSql, InList
from core.segments.types import Groups
from core.segments.words.entry import Entry
from core.segments.words.ranks import of_people

if TYPE_CHECKING:
    from core.segments.words.call import Call

MAX_FILES: Final = 10
MAX_QUERIES: Final = 5
"""In one expression: a file is read and a query checked each time that the config is."""


def segment(call: Call) -> InSegment | CompanyIn:
    """`segment("x")`: a member of it; of a segment of companies, the person's company is."""
    of_people(call)
    name = call.text(0, "the name of a segment")
    call.end(1)
    if name not in call.reader.scope.segments:
        raise call.error(call.node, f"there is no segment {name}", suggest(name, call.reader.scope.segments))
    scope = call.reader.scope
    if name in scope.company_segments and scope.of == "person":
        return CompanyIn(name)
    if name not in scope.company_segments and scope.of == "company":
        raise call.error(call.node, f"{name} is a segment of people", f'write any_user(segment("{name}"))')
    return InSegment(name)


def in_list(call: Call) -> InList:
    """`in_list("vip.csv")`: named in a file under the config's folder, by address, user id or profile id."""
    of_people(call)
    node = call.argument(0, "the name of a file")
    name = call.text_of(node, "the name of a file")
    call.end(1)
    call.reader.parsed.spend(node, "files", MAX_FILES)
    folder = call.reader.scope.folder
    if folder is None:
        raise call.error(node, "there is no folder to read files from")
    try:
        digest, keys = read_list(folder, name, COMPANIES if call.reader.scope.of == "company" else PEOPLE)
    except ListError as error:
        raise call.error(
            node,
            f"{name[:200]}: {error}",
            "a CSV file under the config's folder, its first line naming a column email, user_id or profile_id",
        ) from error
    return InList(name, digest, keys)


def sql(call: Call) -> FromSql:
    """`sql("select profile_id ...")`: read only, ten seconds at most, one column of profile ids."""
    from core.segments.compile_sql import check  # the store's own module; not needed to read any other word

    of_people(call)
    node = call.argument(0, "a query")
    text = call.text_of(node, "a query")
    call.reader.parsed.spend(node, "queries", MAX_QUERIES)
    call.end(1)
    scope = call.reader.scope
    try:
        return FromSql(text.strip(), check(text, f"{'company' if scope.of == 'company' else 'profile'}_id", scope.vocabulary))
    except Refused as error:
        raise call.error(node, f"sql {error}") from error


def partition(call: Call) -> Groups:
    """`partition("lifecycle") == "at_risk"`."""
    of_people(call)
    if call.reader.scope.of == "company":
        raise call.error(call.node, "a partition is of people", 'write any_user(partition("...") == "...")')
    name = call.text(0, "the name of a partition")
    call.end(1)
    if name not in call.reader.scope.partitions:
        raise call.error(call.node, f"there is no partition {name}", suggest(name, call.reader.scope.partitions))
    return Groups(name, call.reader.scope.partitions[name])


ENTRIES: Final = (
    Entry("segment", "segment(NAME)", "Is in another segment.", 'segment("vips") and not paying'),
    Entry(
        "partition",
        "partition(NAME)",
        "Which group of a partition somebody is in, compared by `==`, `!=` or `in`.",
        'partition("lifecycle") == "at_risk"',
    ),
    Entry(
        "in_list",
        "in_list(FILE)",
        "Is named in a CSV file under the config's folder, by e-mail, user id or profile id.",
        'in_list("vip.csv")',
    ),
    Entry(
        "sql",
        "sql(QUERY)",
        "A query of one's own that yields profile ids: it may only read, for ten seconds at most.",
        'sql("select profile_id from subscriptions where quantity > 5")',
    ),
)
