"""
The tables of the store, as one migration after another (sqlite-utils), and the canonical columns that segments speak of.

Times are integers, microseconds since 1970 UTC. Money is an integer of minor units beside its currency. Booleans are 0 and 1.
Bitmaps are roaring bitmaps of profile ids (`pyroaring.BitMap.serialize`); those of companies hold company ids. Landing tables (`<connection>__<stream>`) are not
here: `core.store.landing` makes them from what a stream brings.
"""

# stores are migrated in this order
from core.store.schema import beginning  # noqa: F401, I001 - it registers its migrations
from core.store.schema import growth  # noqa: F401 - it registers its migrations
from core.store.schema import delays  # noqa: F401 - it registers its migrations
from core.store.schema import delivery  # noqa: F401 - it registers its migrations
from core.store.schema import erasure  # noqa: F401 - it registers its migrations
from core.store.schema import alerts  # noqa: F401 - it registers its migrations
from core.store.schema import cuts  # noqa: F401 - it registers its migrations
from core.store.schema import upkeep  # noqa: F401 - it registers its migrations
from core.store.schema import lookups  # noqa: F401 - it registers its migrations
from core.store.schema import owners  # noqa: F401 - it registers its migrations
from core.store.schema import companies  # noqa: F401 - it registers its migrations
from core.store.schema import reading  # noqa: F401 - it registers its migrations
from core.store.schema import folders  # noqa: F401 - it registers its migrations
from core.store.schema.canonical import CANONICAL, TABLES
from core.store.schema.steps import known_migrations, migrations

__all__ = ["CANONICAL", "TABLES", "known_migrations", "migrations"]
