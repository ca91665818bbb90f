"""The parts of the reference that are written from the code."""

import re

import pytest

import harness
from docs.generated import PARTS, fill
from harness.__main__ import COMMANDS
from harness.core.arch import ARCHS
from harness.core.names import space_names, study_names
from harness.models.wiring import REGISTRIES
from tests.toy import ROOT

PAGES = sorted((ROOT / "docs").rglob("*.md"))


def test_every_part_stands_on_one_page() -> None:
    named = [name for path in PAGES for name in re.findall(r"<!-- generated: (\w+) -->", path.read_text("utf-8"))]
    assert sorted(named) == sorted(PARTS)


def test_a_part_takes_the_place_of_its_comment() -> None:
    assert fill("Before.\n\n<!-- generated: archs -->\n\nAfter.\n").splitlines()[:5] == [
        "Before.",
        "",
        "| name | parameters |",
        "| :--- | :--- |",
        "| `v1` | 487,103 |",
    ]
    with pytest.raises(KeyError, match="nonsense"):
        fill("<!-- generated: nonsense -->")


def test_commands_have_their_help_and_no_address_of_who_builds_the_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_STORAGE", "postgresql://me:secret@host/db")
    text = PARTS["commands"]()
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == list(COMMANDS)
    assert all(f"usage: python -m harness.{name} " in text for name in COMMANDS)
    assert all(f"usage: python -m harness.data {action} " in text for action in ("check", "download", "scenes"))
    assert "--max-latency-ratio" in text
    assert "secret" not in text


def test_targets_are_those_of_the_makefile() -> None:
    text = PARTS["targets"]()
    assert "make study " in text
    assert "make docs " in text


def test_lists_name_everything_that_there_is() -> None:
    assert all(f"harness.{name}\n" in PARTS["names"]() for name in vars(harness)["_HOMES"])
    assert all(f"| `{name}` |" in PARTS["archs"]() for name in ARCHS)
    assert all(f"| `{name}` |" in PARTS["spaces"]() for name in space_names())
    assert all(f"| `{name}` |" in PARTS["studies"]() for name in study_names())
    parts = PARTS["parts"]()
    assert all(f"| `{entry.name}` | {entry.description} |" in parts for known in REGISTRIES.values() for entry in known)


def test_rows_of_tables_have_as_many_cells_as_their_heads() -> None:
    for name in ("archs", "parts", "spaces", "studies", "choices"):
        for table in re.findall(r"(?:^\|.*\|$\n?)+", PARTS[name](), re.MULTILINE):
            assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1, table
