"""Text from hosts and APIs without what a terminal acts on: escape sequences, control and format characters."""

from __future__ import annotations

import re

__all__ = ["printable"]

# Whole sequences, with what they would have a terminal do: colours and cursor, then titles, links and the clipboard.
_SEQUENCES = re.compile(
    "(?:\x1b\\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b[\\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\\\|\x9c)"
)
# C0 but line feed and tab, DEL, C1; then what is invisible, or turns the direction of the text around it.
_CHARACTERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    """The text without escape sequences and control characters; line feeds and tabs stay."""
    return _CHARACTERS.sub("", _SEQUENCES.sub("", text))
