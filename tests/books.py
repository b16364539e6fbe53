"""Books, made in the test that reads them."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from io import BytesIO

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>'
)
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def packed(files: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive."""
    with zipfile.ZipFile(out := BytesIO(), "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def chapter(body: str, kind: str = "") -> str:
    """A file of a book."""
    attribute = f' epub:type="{kind}"' if kind else ""
    return (
        '<?xml version="1.0" encoding="utf-8"?><html xmlns="http://www.w3.org/1999/xhtml" '
        f'xmlns:epub="http://www.idpf.org/2007/ops"><head><title>x</title></head><body{attribute}>{body}</body></html>'
    )


def opf(chapters: Mapping[str, str], extra: str = "", guide: str = "", toc: str = "") -> str:
    """The package file of a book with these chapters, in this order."""
    manifest = "".join(f'<item id="{c}" href="{c}.xhtml" media-type="application/xhtml+xml"/>' for c in chapters)
    spine = "".join(f'<itemref idref="{c}"/>' for c in chapters)
    return (
        '<package xmlns="http://www.idpf.org/2007/opf" version="3.0"><metadata '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The lamp &amp; the sea</dc:title>'
        f"<dc:language>en_gb</dc:language></metadata><manifest>{manifest}{extra}</manifest>"
        f"<spine{toc}>{spine}</spine>{guide}</package>"
    )


def epub(chapters: Mapping[str, str], files: Mapping[str, str | bytes] | None = None, **parts: str) -> bytes:
    """A book. parts: of its package file."""
    content = {f"OPS/{name}.xhtml": markup for name, markup in chapters.items()}
    return packed(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": CONTAINER,
            "OPS/book.opf": opf(chapters, **parts),
            **content,
            **(files or {}),
        }
    )


def docx(body: str, core: str = "") -> bytes:
    """A Word document of this XML."""
    kinds = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" '
        'ContentType="application/xml"/></Types>'
    )
    main = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    relations = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{main}" Target="word/document.xml"/></Relationships>'
    )
    files = {
        "[Content_Types].xml": kinds,
        "_rels/.rels": relations,
        "word/document.xml": f"<w:document {_W}><w:body>{body}</w:body></w:document>",
    }
    return packed(files | ({"docProps/core.xml": core} if core else {}))


def paragraph(text: str, style: str = "") -> str:
    """Of a Word document."""
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"
