"""A no of a file is known by its connection: files have no account that would tell one folder's rows from another's."""

from __future__ import annotations

from sqlite_utils import Database

from core.store.schema.steps import statements, step

_FILES = "FROM streams s JOIN connections n ON n.id = s.connection_id WHERE n.category = 'file'"
_BEFORE = "n.connector || '/' || coalesce(n.account, '') || '.' || s.name"
_NOW = "n.connector || '/' || n.name || '.' || s.name"


@step
def m034_folders(db: Database) -> None:
    """
    What files say no to is noted under their own names, also where a yes in another file had ended it.

    A line that no record tells of any more is renamed where one connection alone may have brought it, and stands as it is else.
    """
    statements(
        db,
        f"""
        INSERT OR IGNORE INTO refusals (kind, value, channel, source, record_key, since)
        SELECT i.kind, i.value, coalesce(c.channel, 'email'), {_NOW}, c.record_key, coalesce(c.at, c.changed_at, 0)
        FROM consents c CROSS JOIN streams s ON s.id = c.stream_id
        CROSS JOIN connections n ON n.id = s.connection_id AND n.category = 'file'
        CROSS JOIN subject_identifiers l ON l.subject_id = c.subject_id
        CROSS JOIN identifiers i ON i.id = l.identifier_id AND i.is_company = 0 AND i.kind IN ('email', 'user_id')
        WHERE c.state = 'denied' AND substr(c.record_key, 1, 1) <> char(31);

        DELETE FROM refusals AS r WHERE r.source IN (SELECT {_BEFORE} {_FILES}) AND r.source NOT IN (SELECT {_NOW} {_FILES})
        AND (r.ended_at IS NOT NULL OR EXISTS (SELECT 1 FROM refusals o WHERE o.kind = r.kind AND o.value = r.value
            AND o.channel = r.channel AND o.record_key = r.record_key AND o.source IN (SELECT {_NOW} {_FILES})));

        UPDATE OR IGNORE refusals SET source = (SELECT {_NOW} {_FILES} AND {_BEFORE} = refusals.source)
        WHERE source NOT IN (SELECT {_NOW} {_FILES}) AND (SELECT count(*) {_FILES} AND {_BEFORE} = refusals.source) = 1;
    """,
    )
