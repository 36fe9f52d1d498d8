"""A guest's text, made fit to be shown on a terminal, also when it comes in pieces."""

import codecs
import re
from enum import Enum, auto

_ESCAPE_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-~])")


def printable(raw: bytes) -> str:
    """One line of a guest's as it may be shown: no escape sequence, control or direction-changing character.

    Tabs become spaces; bytes that are no UTF-8 become U+FFFD.
    """
    text = raw.decode("utf-8", "replace")
    if text.isprintable():
        return text
    text = _ESCAPE_SEQUENCE.sub("", text).replace("\t", " ")
    return "".join(char for char in text if char.isprintable())


class _State(Enum):
    """Where in an escape sequence (ECMA-48 5.4 and 8.3.89) a stream is."""

    TEXT = auto()
    ESCAPE = auto()
    CONTROL = auto()
    COMMAND = auto()


class PlainText:
    """The same for a stream, wherever its pieces end. Line feeds stay, and end every sequence.

    What it remembers between pieces is a state and an unfinished character, however long a sequence is.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._state = _State.TEXT

    def feed(self, raw: bytes) -> bytes:
        """What may be shown of this piece, in UTF-8."""
        text = self._decoder.decode(raw)
        if self._state is _State.TEXT and text.isprintable():
            return text.encode()
        shown = []
        for char in text:
            before, self._state = self._state, _next(self._state, char)
            if char == "\n" or (before is self._state is _State.TEXT and char.isprintable()):
                shown.append(char)
            elif char == "\t" and before is _State.TEXT:
                shown.append(" ")
        return "".join(shown).encode()


def _next(state: _State, char: str) -> _State:
    if char == "\n":
        return _State.TEXT
    if char == "\x1b":
        return _State.ESCAPE
    match state:
        case _State.ESCAPE if char == "[":
            return _State.CONTROL
        case _State.ESCAPE if char == "]":
            return _State.COMMAND
        case _State.ESCAPE if " " <= char <= "/":
            return _State.ESCAPE
        case _State.CONTROL if " " <= char <= "?":
            return _State.CONTROL
        case _State.COMMAND if char != "\x07":
            return _State.COMMAND
    return _State.TEXT
