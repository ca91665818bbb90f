"""Replaces the paths and addresses of this machine in texts that are published.

A path in a sentence ends where a space follows, and a path with spaces does not. So the paths of the commands that made
a report are replaced first, as they are written in a command, in JSON and in a sentence.
"""

import json
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from harness.core.manifest import Manifest

IMAGES = "PATH/TO/WIDERFACE"
_ADDRESSES = ("--storage", "--tracking-uri")
_PART = r"""[^\s'"`|<>()\[\]{},;:*/\\]+"""
_QUOTED = re.compile(r"""(?<![\w/])(['"])(?:~|\.{0,2})/(?!/)[^'"\n]*?([^/'"\n]+)\1""")
_PLAIN = re.compile(rf"(?:(?<![\w./<~;-])(?:~[\w-]*|\.{{0,2}})/(?!/)|PATH/TO/(?!WIDERFACE))(?:{_PART}/)*({_PART})")


def without_paths(studies: Sequence[Manifest], *commands: str) -> Callable[[str], str]:
    """Return a function that replaces the paths of this machine in a text by placeholders, and addresses by ``URL``.

    Args:
        studies: their commands hold paths; their image folders are replaced by ``PATH/TO/WIDERFACE``.
        commands: further commands.
    """
    known = dict.fromkeys({study.config.data.source for study in studies} - {"synthetic"}, IMAGES)
    lines: dict[str, str] = {}
    for command in dict.fromkeys((*(study.command for study in studies), *commands)):
        lines[command] = shlex.join(_public_words(command, known))
    above = {str(folder): "PATH/TO" for folder in (Path.cwd(), Path.home()) if folder != Path("/")}

    def hide(text: str) -> str:
        for command, public in lines.items():
            text = text.replace(command, public)
        text = _replaced(text, known)
        text = re.sub(rf"((?:{'|'.join(_ADDRESSES)})[ =])(?!none\b)\S+", r"\1URL", text)
        text = _QUOTED.sub(r"\1PATH/TO/\2\1", text)
        text = _replaced(text, above)
        return _PLAIN.sub(r"PATH/TO/\1", text)

    return hide


def _replaced(text: str, known: Mapping[str, str]) -> str:
    for path, public in sorted(known.items(), key=lambda item: -len(item[0])):
        for form, instead in _forms(path, public):
            whole = rf"(?<![\w./-]){re.escape(form)}(?![\w-])"
            text = re.sub(whole, instead.replace("\\", r"\\"), text)
    return text


def _public_words(command: str, known: dict[str, str]) -> Iterator[str]:
    """Yield the words of a command without paths, and add the paths to ``known``."""
    try:
        words = shlex.split(command)
    except ValueError:  # It was cut off, or edited.
        words = command.split()
    option = ""
    for word in words:
        name, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
        option = name or option
        yield f"{name}{equals}{_public_value(option, value, known)}" if equals or not name else word
        option = word if word.startswith("--") else ""


def _public_value(option: str, value: str, known: dict[str, str]) -> str:
    if option in _ADDRESSES and value != "none":
        return "URL"
    if value in known:
        return known[value]
    found = re.fullmatch(r"(\w+:)?(.+)", value)  # An arch may stand before the path of its weights.
    if found is None or "/" not in value or "://" in value:
        return value
    arch, path = found.groups(default="")
    known[path] = f"PATH/TO/{Path(path).name}"
    return f"{arch}{known[path]}"


def _forms(path: str, public: str) -> Iterator[tuple[str, str]]:
    """Yield a path as a command, JSON and a sentence hold it, each with what replaces it."""
    yield shlex.quote(path), shlex.quote(public)
    for ascii_only in (True, False):
        yield json.dumps(path, ensure_ascii=ascii_only)[1:-1], public
    yield path, public
