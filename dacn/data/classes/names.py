"""Class names as one person writes them and another does: which are the same, and which only look so."""

from collections.abc import Iterable
from unicodedata import normalize


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC): a Mac writes an accent as a character of its own.

    >>> composed("cafe" + chr(0x301)) == "caf" + chr(0xE9)
    True
    """
    return normalize("NFC", name)


def alike(names: Iterable[str]) -> list[list[str]]:
    """Return the groups of names that differ by upper and lower case or by spaces alone.

    >>> alike(["Dog", "cat", "dog ", "hot  dog"])
    [['Dog', 'dog ']]
    """
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        groups.setdefault(" ".join(name.split()).casefold(), []).append(name)
    return [group for group in groups.values() if len(group) > 1]
