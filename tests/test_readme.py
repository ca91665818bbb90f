"""Commands in the documents exist: modules, their flags, names of spaces and studies, make targets."""

import importlib
import importlib.util
import re
import shlex
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

from harness.core.names import space_names, study_names

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "benchmarks/README.md")]
DOCUMENTS += sorted((ROOT / "docs").rglob("*.md"))
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")


def code_lines(text: str) -> list[str]:
    """Return every line of fenced code and every inline code of a Markdown text, continued lines joined."""
    fences = re.findall(r"^ *```[^\n]*\n(.*?)^ *```", text, flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"^ *```[^\n]*\n.*?^ *```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines = [line for fence in fences for line in fence.replace("\\\n", " ").splitlines()]
    return lines + [" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose)]


def commands(text: str) -> list[list[str]]:
    """Return the words of every ``python -m harness.…``, ``python -m benchmarks`` and ``make …`` that a text names."""
    found = []
    for line in code_lines(text):
        called = re.sub(r"featherface-harness (?=[a-z])", "python -m harness.", line.split(" #")[0])
        for part in re.split(r"&&|;|\|", called):
            command = re.search(
                r"(?:^|[\s/])python3? -m ((?:harness\.|benchmarks\b)\S*.*)$|^\s*(?:\$ )?(make\b.*)$", part
            )
            if command:
                found.append(shlex.split(command[1] or command[2]))
    return found


@cache
def recipe(target: str) -> str | None:
    """Return what a make target runs, or None if there is no such target."""
    found = re.search(rf"^{re.escape(target)}:[^=\n]*\n((?:\t.*\n)*)", MAKEFILE, flags=re.MULTILINE)
    return found[1] if found else None


def check_module(name: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert importlib.util.find_spec(name) is not None, f"there is no {name}"
    module = importlib.import_module(name)
    if hasattr(module, "__path__"):
        module = importlib.import_module(f"{name}.__main__")
    actions = [word for word in words[:1] if word in getattr(module, "ACTIONS", ())]
    with pytest.raises(SystemExit) as exit_:
        module.main([*actions, "--help"])
    help_text = capsys.readouterr().out
    assert exit_.value.code == 0
    for word, after in pairwise([*words, ""]):
        flag, _, value = word.partition("=")
        if flag.startswith("-"):
            assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", help_text), f"{name} has no {flag}"
        known = {"--space": space_names, "--study": study_names}.get(flag)
        if known is not None and (value or after).islower():
            assert (value or after) in known(), f"{flag} {value or after}: there is none"


def check(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    if words[0] != "make":
        check_module(words[0], words[1:], capsys)
        return
    passed = [word.removeprefix("ARGS=") for word in words if word.startswith("ARGS=")]
    for target in (word for word in words[1:] if "=" not in word and not word.startswith("-")):
        runs = recipe(target)
        assert runs is not None, f"make {target}: there is no such target"
        module = re.search(r"-m (harness\.[\w.]+|benchmarks\b)", runs)
        if module and passed:
            check_module(module[1], shlex.split(passed[0]), capsys)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_exists(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in commands(path.read_text(encoding="utf-8")):
        try:
            check(words, capsys)
        except AssertionError as error:
            raise AssertionError(f"{path.name} says '{' '.join(words)}': {error}") from error


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text) + re.findall(r"(?:src|href)=\"([^\"#]+)\"", text):
        if not re.match(r"\w+:", target):
            assert (path.parent / target).exists(), f"{path.name} links {target}"


def test_the_readme_names_the_two_commands() -> None:
    named = commands((ROOT / "README.md").read_text(encoding="utf-8"))
    assert ["make", "study"] in named
    assert ["make", "test"] in named


def test_every_target_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """The head of the Makefile lists study, test, bench, ui and clean, and all of them exist."""
    for target in ("study", "test", "bench", "ui", "clean"):
        assert recipe(target), target
        assert re.search(rf"^# make {target} ", MAKEFILE, flags=re.MULTILINE)
    check(["make", "ui", "ARGS=--port 5001"], capsys)
    check(["make", "bench", "ARGS=losses --quick"], capsys)


SAMPLE = """
Type `make study`, and make sure to read on; `python -m harness.ui
--port 5001` shows it.

```bash
$ make study ARGS="--trials 3"   # not make nonsense
PYTHONPATH=. .venv/bin/python -m harness.study --space v2_light \\
    --data DIR && make ui
featherface-harness budget --arch v2
```
"""


def test_commands_are_found_where_they_stand_as_code() -> None:
    assert commands(SAMPLE) == [
        ["make", "study", "ARGS=--trials 3"],
        ["harness.study", "--space", "v2_light", "--data", "DIR"],
        ["make", "ui"],
        ["harness.budget", "--arch", "v2"],
        ["make", "study"],
        ["harness.ui", "--port", "5001"],
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["make", "nonsense"], "no such target"),
        (["harness.nonsense"], "there is no harness.nonsense"),
        (["harness.ui", "--nonsense"], "has no --nonsense"),
        (["harness.ui", "--por", "1"], "has no --por"),
        (["harness.data", "scenes", "DIR", "--sheets", "DIR"], "has no --sheets"),
        (["make", "ui", "ARGS=--nonsense 1"], "has no --nonsense"),
        (["harness.study", "--space", "nonsense"], "--space nonsense: there is none"),
    ],
)
def test_missing_commands_are_found(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(AssertionError, match=re.escape(told)):
        check(words, capsys)
