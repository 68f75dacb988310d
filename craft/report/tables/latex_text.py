"""Text in LaTeX: special characters, places where it may break, and how wide it is in print."""

from __future__ import annotations

import re

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    '"': "''",
    "±": r"$\pm$",
    "—": "---",
    "µ": r"$\mu$",
    "λ": r"$\lambda$",
    "₁": "$_1$",
    "₂": "$_2$",
}

#: Points per em of Computer Modern at \footnotesize and \tiny, whose small letters are wide.
FOOTNOTESIZE, TINY = 8.5, 6.82

#: Widths in em of characters of Computer Modern; of others the first of a kind, or the widest.
_WIDTHS = {
    **dict.fromkeys("ijlI.,:;'!|[]", 0.31),
    **dict.fromkeys(" -", 0.34),
    **dict.fromkeys("frst()", 0.4),
    **dict.fromkeys("0123456789/*", 0.5),
    **dict.fromkeys("abcdeghknopquvxyz?$λµ", 0.56),
    **dict.fromkeys("w+±=<>&@_#ABCDEFGHJKLNOPQRSTUVXYZ", 0.79),
}
_WIDEST = 1.03

#: Words longer than this may break behind some of their characters, and at the latest after those.
_LONG, _PIECE = 10, 16


def escaped(text: str) -> str:
    """Return text with LaTeX's special characters made printable."""
    return "".join(_SPECIAL.get(character, character) for character in text)


def words(text: str) -> str:
    """Return text, escaped, whose long words may break at their joints."""
    return " ".join(
        r"\allowbreak{}".join(map(escaped, _pieces(word))).replace(r"-\allowbreak{}", "-")
        for word in text.split(" ")
    )


def broken(text: str) -> list[str]:
    """Return the pieces of text that do not break."""
    return [piece for word in text.split(" ") for piece in _pieces(word)]


def _pieces(word: str) -> list[str]:
    """Return the pieces of a word: whole, or cut behind marks and between letters and digits."""
    if len(word) <= _LONG:
        return [word]
    joints = re.split(r"(?<=[/_@=,:-])|(?<=[a-z])(?=[A-Z0-9])", word)
    return [
        joint[start : start + _PIECE] for joint in joints for start in range(0, len(joint), _PIECE)
    ]


def width(text: str, points: float = FOOTNOTESIZE) -> float:
    """Return how wide text is on one line, in points, or a little more."""
    return points * sum(_WIDTHS.get(character, _WIDEST) for character in text)
