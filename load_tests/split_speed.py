"""How fast texts are normalised and split, MB/s: `python -m load_tests.split_speed`.

Prose, and texts made to hurt: a splitter that is not linear shows up as a line that is far below the others.
"""

from __future__ import annotations

import time

from contracts.text import estimate_ms, normalise, split_units

CHARS = 1_000_000
_PROSE = (
    "The keeper lit the lamp, as he had every night for 40 years. Nobody had come that way since Dr. Smith left! "
    "“Would anyone come now?” he asked — but there was no answer, and the sea, which had been calm, rose slowly.\n\n"
)
SAMPLES = {
    "prose": _PROSE, "one paragraph": _PROSE.replace("\n", " "), "no end of sentence": "the lamp of the keeper and ",
    "no blanks": "x", "dots": ".", "dots and blanks": ". ", "digits": "7", "emoji": "😀",
    "families": "👩\u200d👩\u200d👧", "chinese": "今天天气很好，我们去公园。", "chinese, no marks": "好",
    "open quotes": "“a. ", "straight quotes": '"a." ', "ellipses": "Stop… then… ", "abbreviations": "e.g. ",
    "initials": "A. ", "brackets": "(", "marks": "a" + "\u0301" * 50, "commas": "a,", "short paragraphs": "a.\n\n",
    "list": "1. a\n", "joiners": "क्\u200d", "closers": ".)", "dashes": "—", "hyphens": "-", "exclamations": "a!!!)",
    "semicolons": ";)", "wide marks": "。）", "tags": "\U0001f3f4\U000e0067", "all marks": "\u0301",
    "marks out of order": "\u0301\u0316", "hidden marks": "\u0301\u200b\u0316", "stray quotes": "a. ’b",
}  # fmt: skip


def main() -> None:
    """One line per sample."""
    print(f"{'sample':<20} {'normalise':>10} {'split':>10} {'estimate':>10}  MB/s, then units")
    for name, piece in SAMPLES.items():
        text = piece * (CHARS // len(piece))
        megabytes = len(text.encode()) / 1e6
        began = time.perf_counter()
        normal = normalise(text)
        cleaned = time.perf_counter()
        units = split_units(normal, "en-US")
        cut = time.perf_counter()
        for unit in units:
            estimate_ms(unit, "en-US", 1.0)
        done = time.perf_counter()
        assert "".join(units) == normal
        rates = [megabytes / max(t, 1e-9) for t in (cleaned - began, cut - cleaned, done - cut)]
        print(f"{name:<20} {rates[0]:>10.2f} {rates[1]:>10.2f} {rates[2]:>10.2f}  {len(units):,}", flush=True)


if __name__ == "__main__":
    main()
