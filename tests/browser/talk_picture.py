"""The picture of the page to talk on: `PYTHONPATH=tests python -m browser.talk_picture` writes docs/talk.png.

Needs Chromium and its driver. The page and the front are real; what is said is scripted, and its voice is a tone.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from browser.bidi import Page
from browser.talking import SPEAKER, STATE, booth, chromium, embedded, open_talk, write
from llm_script import Attempt, ScriptedWorker, say

PICTURE = Path(__file__).parents[2] / "docs" / "talk.png"
SIZE = (1000, 760)
TALK = {
    "How far is it to the lighthouse?": "An hour on foot, if the tide is out. Take the path along the wall.",
    "And if it is in?": (
        "Then you wait, or you take the boat. Ask for it at the inn. They know the way in the dark, and so do the "
        "horses. Nobody has been lost there for as long as I can remember."
    ),
}


def main() -> None:
    """Two turns, the second one while it is spoken."""
    with tempfile.TemporaryDirectory() as folder:
        worker = ScriptedWorker(embedded(Path(folder)), ("small",))
        worker.scripts.update({prompt: [Attempt(say(reply))] for prompt, reply in TALK.items()})
        with booth(Path(folder), worker) as running, chromium(None) as session:
            page = Page(session)
            page.viewport(*SIZE)
            open_talk(page, running.url)
            for count, prompt in enumerate(TALK, 1):
                page.wait_for(f"{STATE} === 'Ready.'", timeout_ms=60_000)
                write(page, prompt)
                page.wait_for(f"document.querySelectorAll('.turn.assistant').length === {count}")
            page.wait_for("!document.querySelector('#timing').hidden")
            page.wait_for(f"{SPEAKER}.heard > 9", timeout_ms=60_000)
            page.screenshot(PICTURE)


if __name__ == "__main__":
    main()
