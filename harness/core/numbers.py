"""Numbers in texts, as programs write them: Python also reads ``1_0`` as 10, and the digits of all scripts."""


def is_plain(text: str) -> bool:
    """Say whether Python reads the numbers in a text as every other program does."""
    return text.isascii() and "_" not in text


def integer(text: str) -> int:
    """Return the integer that a text holds.

    Raises:
        ValueError: it is no integer, or is written in another way.
    """
    if not is_plain(text):
        raise ValueError(f"{text!r} is not an integer")
    return int(text)


def number(text: str) -> float:
    """Return the number that a text holds; ``nan`` and ``inf`` are numbers here.

    Raises:
        ValueError: it is no number, or is written in another way.
    """
    if not is_plain(text):
        raise ValueError(f"{text!r} is not a number")
    return float(text)
