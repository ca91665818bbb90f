"""Sealed files: what was written is read, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.core.sealed import DIGEST, read_sealed, write_sealed
from harness.errors import DataError

CONTENT: dict[str, Any] = {"name": "v2 – é", "aps": [0.1, None, 1e-30], "nested": {"2": True, "1": []}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_sealed(tmp_path / "a.json", CONTENT)
    return tmp_path / "a.json"


def test_what_was_written_is_read(path: Path) -> None:
    assert read_sealed(path) == CONTENT
    write_sealed(path, {1: (2, 3)})  # type: ignore[dict-item]
    assert read_sealed(path) == {"1": [2, 3]}


def test_the_digest_is_the_one_of_files_that_exist(path: Path) -> None:
    """Another one would refuse all studies under way."""
    assert json.loads(path.read_text(encoding="utf-8"))[DIGEST] == "7a985300fb4416e5"


@pytest.mark.parametrize("change", [{"name": "v1"}, {"more": 0}, {"aps": [0.1, None]}, {"nested": {}}])
def test_a_change_is_found(path: Path, change: dict[str, Any]) -> None:
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.json was changed after it was written"):
        read_sealed(path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not readable as JSON"),
        ("[]", "it holds no JSON object"),
        ('{"a": NaN}', "NaN is not a number"),
        ('{"a": 1e999, "digest": "0"}', "not readable as JSON: Out of range"),
        (100_000 * "[", "not readable as JSON"),
    ],
)
def test_other_files_are_refused_in_one_line(path: Path, text: str, words: str) -> None:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=words) as refused:
        read_sealed(path)
    assert "\n" not in str(refused.value)
