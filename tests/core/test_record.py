"""A study's networks by name."""

from pathlib import Path

import pytest

from harness.core.record import TrialRecord, find_trial, load_records, ranked
from harness.errors import InputError


def save(runs: Path, label: str, role: str, mean: float | None, params: int = 100, state: str = "complete") -> None:
    number = int(label) if label.isdecimal() else None
    ap: dict[str, float | None] = {} if mean is None else {"mean": mean}
    record = TrialRecord(label, role, number, state=state, params=params, search_ap=ap)
    record.save(runs / "study" / "trials" / label)


def test_best_is_the_candidate_with_the_highest_search_ap(tmp_path: Path) -> None:
    save(tmp_path, "v1", "teacher", 0.9)
    save(tmp_path, "v2", "reference", 0.8)
    save(tmp_path, "0000", "candidate", 0.5, params=90)
    save(tmp_path, "0001", "candidate", 0.7, params=120)
    save(tmp_path, "0002", "candidate", 0.7, params=110)
    save(tmp_path, "0003", "candidate", 0.75, state="pruned")
    save(tmp_path, "0004", "candidate", None)
    assert [record.label for record in ranked(load_records(tmp_path / "study"))] == ["0002", "0001", "0000"]
    assert find_trial("study/best", tmp_path).name == "0002"
    assert find_trial("study/1", tmp_path).name == "0001"


def test_a_study_without_a_finished_candidate_has_no_best_one(tmp_path: Path) -> None:
    save(tmp_path, "v1", "teacher", 0.9)
    with pytest.raises(InputError, match="study has no best student yet"):
        find_trial("study/best", tmp_path)
    with pytest.raises(InputError, match="unknown study"):
        find_trial("other/best", tmp_path)
