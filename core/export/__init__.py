"""
All that is known about one person, for them: the right of access, as one JSON document.

    tables      which table is in which section, and which hold nobody
    sections    what stands in each section, row by row
    write       the document, streamed, in one snapshot of the store
"""

from core.export.write import export, find_person

__all__ = ["export", "find_person"]
