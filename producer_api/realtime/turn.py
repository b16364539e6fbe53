"""One turn of the client's: one or several utterances with short pauses between."""

from __future__ import annotations

import asyncio
import difflib
import re
from dataclasses import dataclass, field

from producer_api.realtime.events import new_id
from producer_api.realtime.items import Item, message_item
from producer_api.realtime.speaker import Response
from producer_api.realtime.writing import Writing

ECHO = 0.8
"""So much of what was heard while we spoke is what we said: we have heard ourselves."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


@dataclass(eq=False)
class Turn:
    """texts: utterance -> what was heard, None while it is not. Times: ms of sound since the session began."""

    begin_ms: int
    id: str = field(default_factory=lambda: new_id("item"))
    texts: dict[int, str | None] = field(default_factory=dict)
    quiet_ms: int = 0
    """Where the silence behind its last utterance began."""
    now: str = ""
    """Text of the moment that the client has been told, of the utterance that is being said."""
    tone: str = ""
    failed: str = ""
    """Why an utterance of it could not be heard."""
    committed: bool = False
    writing: Writing | None = None
    """An answer that has been begun before it was known to be wanted."""
    beside: Response | None = None
    """What we were saying when it began."""
    interrupted: bool = False
    """That was ended by it."""
    owed: bool = False
    """An answer to what was said before it was put off, for it."""
    again_at: float = 0.0
    """time.monotonic() when it may be tried again to commit it."""
    ended_at: float = 0.0
    """time.monotonic() when the last word was over, where sound comes as fast as it is spoken."""
    heard_at: float = 0.0
    hear_ms: int = 0
    """The engine's own, for its last utterance."""
    known: asyncio.Event = field(default_factory=asyncio.Event)
    """It is over, and all of it is text."""

    @property
    def heard(self) -> bool:
        """Whether all of it is text."""
        return None not in self.texts.values()

    @property
    def text(self) -> str:
        """All of it, as far as it is known."""
        return " ".join(text.strip() for text in self.texts.values() if text).strip()

    @property
    def item(self) -> Item:
        """As the conversation has it."""
        text = self.text if self.heard else None
        item = message_item("user", {"type": "input_audio", "transcript": text}, item_id=self.id)
        if self.tone:
            item["castline_tone"] = self.tone
        return item

    @property
    def is_echo(self) -> bool:
        """Whether it is what we said ourselves. A single word is none: who says `yes` may well mean it."""
        if self.beside is None:
            return False
        heard, said = _words(self.text), _words(" ".join(unit.text for unit in self.beside.said))
        same = difflib.SequenceMatcher(None, heard, said, autojunk=False).get_matching_blocks()
        return len(heard) > 1 and sum(block.size for block in same) >= ECHO * len(heard)

    async def drop_writing(self) -> None:
        """What was begun is not wanted. Raises Unavailable."""
        writing, self.writing = self.writing, None
        if writing is not None:
            await writing.give_up()


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())
