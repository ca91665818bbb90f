"""A report's folder: complete or absent, and never in place of another folder."""

import json
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from harness.errors import InputError
from harness.reporting.publish import check_target, replaced


def test_a_folder_takes_its_place_when_it_is_whole(tmp_path: Path) -> None:
    target = tmp_path / "report"
    for content in ("first", "second"):
        with replaced(target) as folder:
            (folder / content).touch()
            assert not (target / content).exists()
        assert [path.name for path in target.iterdir()] == [content]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_after_an_error_the_earlier_folder_stays(tmp_path: Path) -> None:
    target = tmp_path / "report"
    with replaced(target) as folder:
        (folder / "first").touch()
    with suppress(ValueError), replaced(target) as folder:
        (folder / "second").touch()
        raise ValueError("half of it")
    assert [path.name for path in target.iterdir()] == ["first"]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_only_a_report_of_the_same_kind_is_replaced(tmp_path: Path) -> None:
    check_target(tmp_path / "none", "trials", "study's report")
    with pytest.raises(InputError, match="is no study's report"):
        check_target(tmp_path, "trials", "study's report")
    (tmp_path / "summary.json").write_text(json.dumps({"pairs": []}), encoding="utf-8")
    with pytest.raises(InputError, match="is no study's report"):
        check_target(tmp_path, "trials", "study's report")
    check_target(tmp_path, "pairs", "comparison")
    for content in ("7", "[]", "{", '"pairs"'):
        (tmp_path / "summary.json").write_text(content, encoding="utf-8")
        with pytest.raises(InputError, match="is no comparison"):
            check_target(tmp_path, "pairs", "comparison")


def test_reports_that_are_written_at_once_do_not_mix(tmp_path: Path) -> None:
    target, problems = tmp_path / "report", list[BaseException]()
    barrier = threading.Barrier(8)

    def write(number: int) -> None:
        barrier.wait()
        try:
            for _ in range(20):
                with replaced(target) as folder:
                    for part in ("report.md", "a.png"):
                        (folder / part).write_text(str(number), encoding="utf-8")
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=write, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len({path.read_text(encoding="utf-8") for path in target.iterdir()}) == 1
    assert sorted(path.name for path in target.iterdir()) == ["a.png", "report.md"]
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_what_a_killed_process_left_is_removed_later(tmp_path: Path) -> None:
    old, new = tmp_path / ".report.1.partial", tmp_path / ".report.2.partial"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (0, 0))
    with replaced(tmp_path / "report"):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [".report.2.partial", "report"]
