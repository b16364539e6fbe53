"""Documents to texts that can be spoken.

    kinds      which kind a document is: by its media type, its name, its first bytes
    encoding   bytes to characters
    markup     HTML to a tree, without what nobody would read out
    spoken     a tree to paragraphs
    text, markdown, html, epub, docx   one reader per kind, each over the ones above
    archive    files of a ZIP within bounds, XML without entities
    read       the readers behind one call
    child, reader   the same in a process of its own, with a time limit: what the front uses

What comes from a document is never trusted: it may be broken, or made to break us.
"""

from __future__ import annotations

from producer_api.documents.document import Document
from producer_api.documents.kinds import Kind, declared_kind
from producer_api.documents.read import read

__all__ = ["Document", "Kind", "declared_kind", "read"]
