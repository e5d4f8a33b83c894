"""Text for terminals."""

from __future__ import annotations


def printable(text: str, kept: str = "") -> str:
    """The text with Python's escapes in place of what does not print, such as the characters that
    move a terminal's cursor, or half of a surrogate pair; those among `kept` stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in kept else repr(c)[1:-1] for c in text)
