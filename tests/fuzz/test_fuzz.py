"""The same few inputs of every parser each time; ``make fuzz`` tries many more. And the limits find what they must."""

import os
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import strategies as st

from harness.errors import DataError, InputError
from tests.fuzz.__main__ import LEAST
from tests.fuzz.all import PARSERS
from tests.fuzz.guard import guarded
from tests.fuzz.parser import Parser, Tally, fuzz


@pytest.mark.parametrize("parser", PARSERS, ids=lambda parser: parser.name)
def test_damage_is_refused_in_one_line(parser: Parser, tmp_path: Path) -> None:
    tally = Tally()
    fuzz(parser, tmp_path, parser.few, tally, repeatable=True)
    assert tally.accepted > 0
    assert tally.inputs >= parser.few


def test_make_fuzz_tries_enough() -> None:
    assert sum(parser.count for parser in PARSERS) >= LEAST
    assert len({parser.name for parser in PARSERS}) == len(PARSERS)


def _traceback(_: int, __: Path) -> None:
    raise ValueError("a traceback")


def _two_lines(_: int, __: Path) -> None:
    raise _TwoLinesError("one\ntwo")


class _TwoLinesError(DataError):
    def __str__(self) -> str:
        return str(self.args[0])


def _outside(_: int, folder: Path) -> None:
    (folder.parent / "outside").write_text("x", encoding="utf-8")


def _folder_outside(_: int, folder: Path) -> None:
    (folder / ".." / "made").mkdir(exist_ok=True)


def _endless(_: int, __: Path) -> None:
    while True:
        pass


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (_traceback, "a traceback"),
        (_two_lines, "is not one line"),
        (_outside, "wrote outside its folder"),
        (_folder_outside, "wrote outside its folder"),
        (_endless, "computes longer than"),
    ],
)
def test_what_no_parser_may_do_is_found(
    read: object, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fuzz.guard.SECONDS", 0.1)
    parser = Parser("bad", lambda: st.integers(), read, 1)  # type: ignore[arg-type]
    with pytest.raises((ValueError, AssertionError), match=said):
        fuzz(parser, tmp_path, 1, Tally(), repeatable=True)


def test_what_a_block_may_do_is_no_fault(tmp_path: Path) -> None:
    with guarded(tmp_path):
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "b").write_bytes(b"")
        Path(os.devnull).write_bytes(b"")
        time.sleep(0.01)
        np.zeros(10)


def test_an_error_is_one_line_whatever_a_file_is_called() -> None:
    assert str(InputError("no file a\x1b[2J\nb\udce9é")) == r"no file a\x1b[2J\nb\udce9é"
