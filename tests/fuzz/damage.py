"""Hypothesis strategies of damage: valid bytes, lines and JSON with some edits.

An input is data that says what was done to which valid example, so that a failing one is short and can be made again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

Edit = tuple[str, int, Any]
"""What is done, where (modulo the length), and with what."""

NUMBERS = (0, 1, 2, 7, 127, 128, 255, 256, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1)

_BYTES = ("flip", "set", "cut", "remove", "repeat", "swap", "<2", "<4", "<8", ">2", ">4", ">8")

TOKENS = (
    *("", " ", "0", "-1", "1e39", "1e308", "nan", "inf", "-inf", "1_0", "٣", "0x10", "1e999", "9" * 400, "-0", "+5"),
    *("..", "../../x", "/", "//", "/etc/passwd", "\0", "#", "a" * 300, "\ud800", "é", "🙂", "\x1b[31m", "\r", "\u2028"),
    *("a/b.jpg", "# 0--Parade/a.jpg", "0--Parade/a.jpg", "{", "[", '"', "null", "%00", "C:\\x", "\x85", "\ufeff"),
)

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 0.5, -0.0, 1e308, 10**30, -(10**30), 2**63, float("nan"), float("inf")),
    *(
        "",
        "x",
        "..",
        "../../x",
        "a" * 300,
        "\0",
        "\ud800",
        "<b>",
        "1",
        "none",
        [],
        {},
        [[]],
        [None],
        {"": None},
        [1, "x"],
    ),
    *({"name": "v2"}, {"name": []}, [0] * 50, "x\ny", {"mean": "0.5"}, {"mean": None}, 1_000_000),
)


@dataclass(frozen=True)
class Damaged:
    """The valid example ``of`` with ``edits``, in order."""

    of: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Forged(Damaged):
    """A file whose content was edited before it was written: its digests, checksums and lengths are right."""


def _damaged(
    names: Sequence[str], edit: SearchStrategy[Edit], most: int = 4, kind: type[Damaged] = Damaged
) -> SearchStrategy[Any]:
    return st.builds(kind, st.sampled_from(sorted(names)), st.lists(edit, max_size=most).map(tuple))


_place = st.integers(0, 2**16 - 1)


def damaged_bytes(names: Sequence[str], most: int = 4) -> SearchStrategy[Damaged]:
    """Return inputs for ``edited_bytes``."""
    number = st.sampled_from(NUMBERS) | st.integers(0, 255)
    return _damaged(names, st.tuples(st.sampled_from(_BYTES), _place, number), most)


def edited_bytes(seeds: Mapping[str, bytes], damaged: Damaged) -> bytes:
    """Return a valid example's bytes after the edits."""
    content = bytearray(seeds[damaged.of])
    for kind, place, number in damaged.edits:
        at = place % (len(content) + 1)
        length = number % 64 + 1
        if kind == "cut":
            del content[at:]
        elif kind == "remove":
            del content[at : at + length]
        elif kind == "repeat":
            content[at:at] = content[at : at + length]
        elif kind == "swap":
            content[at : at + 2 * length] = content[at + length : at + 2 * length] + content[at : at + length]
        elif kind in ("flip", "set"):
            changed = content[at : at + 1]
            content[at : at + 1] = bytes(byte ^ 1 << number % 8 if kind == "flip" else number % 256 for byte in changed)
        else:
            width = int(kind[1:])
            order = "little" if kind[0] == "<" else "big"
            content[at : at + width] = (number % 256**width).to_bytes(width, order)
    return bytes(content)


_TEXT = ("token", "line", "drop", "repeat", "swap", "cut", "insert")


def damaged_text(names: Sequence[str], tokens: Sequence[str] = ()) -> SearchStrategy[Damaged]:
    """Return inputs for ``edited_text``."""
    token = st.sampled_from((*TOKENS, *tokens)) | st.text(max_size=8)
    return _damaged(names, st.tuples(st.sampled_from(_TEXT), _place, token))


def edited_text(seeds: Mapping[str, str], damaged: Damaged) -> bytes:
    """Return a valid example's lines after the edits, as UTF-8; lone surrogates become bytes that are none."""
    text = seeds[damaged.of]
    for kind, place, token in damaged.edits:
        lines = text.split("\n")
        at = place % len(lines)
        words = lines[at].split(" ")
        if kind == "token":
            words[(place >> 8) % len(words)] = token
            lines[at] = " ".join(words)
        elif kind == "line":
            lines[at] = token
        elif kind == "drop":
            del lines[at]
        elif kind == "repeat":
            lines.insert(at, lines[at])
        elif kind == "swap":
            lines[at], lines[at - 1] = lines[at - 1], lines[at]
        text = "\n".join(lines)
        if kind == "cut":
            text = text[: place % (len(text) + 1)]
        elif kind == "insert":
            cut = place % (len(text) + 1)
            text = text[:cut] + token + text[cut:]
    return text.encode("utf-8", "surrogatepass")


def forged(names: Sequence[str]) -> SearchStrategy[Forged]:
    """Return inputs for ``edited_json``."""
    value = st.sampled_from(VALUES) | st.integers() | st.text(max_size=6) | st.floats()
    kinds = st.sampled_from(("put", "put", "drop", "add", "repeat"))
    return _damaged(names, st.tuples(kinds, _place, value), kind=Forged)


def edited_json(seeds: Mapping[str, Any], forged: Forged) -> Any:
    """Return a valid example after the edits, as plain data that shares nothing with it."""
    content = _copy(seeds[forged.of])
    for kind, place, value in forged.edits:
        places = list(_places(content))
        if not places:
            return value
        holder, key = places[place % len(places)]
        if kind == "put":
            holder[key] = _copy(value)
        elif kind == "drop":
            del holder[key]
        elif kind == "repeat" and isinstance(holder, list):
            holder.append(_copy(holder[key]))
        elif isinstance(holder, dict):
            holder[value if isinstance(value, str) else "extra"] = _copy(value)
    return content


def _places(content: Any) -> Any:
    """Yield every container with each of its keys."""
    keys = content.keys() if isinstance(content, dict) else range(len(content)) if isinstance(content, list) else ()
    for key in list(keys):
        yield content, key
        yield from _places(content[key])


def _copy(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _copy(value) for key, value in content.items()}
    return [_copy(value) for value in content] if isinstance(content, list | tuple) else content
