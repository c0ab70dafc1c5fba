"""Names of a program as text a person may look at.

Decides: what is not printable (controls, bidirectional controls, characters without width, undecodable bytes) becomes the
escape that `memtap` itself shows; str.isprintable() knows it, but for a few letters that are blank.
"""

from __future__ import annotations

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
_LETTERS = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


def shown(text: str) -> str:
    """The text with whatever would drive a terminal, reorder or hide as a visible escape."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown_character, text))


def _shown_character(character: str) -> str:
    if character.isprintable() and character not in _BLANK:
        return character
    number = ord(character)
    if character in _LETTERS:
        return _LETTERS[character]
    if number < 0x80 or 0xDC80 <= number <= 0xDCFF:  # a byte that is not UTF-8 (PEP 383)
        return f"\\x{number & 0xFF:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
