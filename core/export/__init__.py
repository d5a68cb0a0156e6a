"""
All that is known about one person, for them: the right of access, as one JSON document.

    tables      which table is in which section, and which hold nobody
    person      whom it is about; from a row of the store to a row of an export
    sections, consequences   what stands in each section: what the sources said, what was made of it
    write       the document, streamed, in one snapshot of the store
"""

from core.export.write import export, find_person

__all__ = ["export", "find_person"]
