"""XML that is only written, by the standard library."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def add(parent: ET.Element, tag: str, text: str = "", **attributes: str) -> ET.Element:
    """A child with this text; characters that XML can not hold are left out."""
    child = ET.SubElement(parent, tag, {name: _NOT_XML.sub("", value) for name, value in attributes.items()})
    child.text = _NOT_XML.sub("", text)
    return child


def document(root: ET.Element) -> bytes:
    """UTF-8, with its declaration."""
    whole: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return whole + b"\n"
