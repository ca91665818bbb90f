"""Every fault happens once to a study, which loses nothing; and what is lost is noticed."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from benchmarks.faults.__main__ import RESULT, main
from benchmarks.faults.outcome import Outcome, compare
from benchmarks.faults.registry import FAULTS
from benchmarks.faults.study import TRIALS, Disturbed
from harness.core.record import TrialRecord
from harness.errors import InputError
from tests.toy import Toy


@pytest.mark.slow
@pytest.mark.trains
@pytest.mark.server
def test_no_fault_costs_a_study_anything(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["--repetitions", "1", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert code == 0, [row for row in found["rows"] if not row["clean"]]
    assert [row["fault"] for row in found["rows"]] == list(FAULTS)
    for row in found["rows"]:
        assert row["skipped"] or row["repetitions"] >= 1
        assert row["outcome"]["finished"] == row["outcome"]["started"] == TRIALS * row["studies"]


@pytest.mark.skipif(not RESULT.exists(), reason="make faults has not been run")
def test_every_fault_is_in_the_committed_table() -> None:
    found = json.loads(RESULT.read_text(encoding="utf-8"))
    rows = {row["fault"]: row for row in found["rows"]}
    assert list(rows) == list(FAULTS)
    assert all(row["clean"] and not row["skipped"] for row in rows.values())
    assert all(rows[name]["repetitions"] >= fault.repetitions for name, fault in FAULTS.items())


def test_an_unknown_fault_is_refused() -> None:
    with pytest.raises(InputError, match="unknown fault 'worker_kiled'; did you mean 'worker_killed'"):
        main(["worker_kiled"])


def test_what_is_lost_or_counted_twice_is_noticed(toy: Toy, tmp_path: Path) -> None:
    """A study from which things were taken, compared with itself as it was."""
    whole = Disturbed(toy.runs, tmp_path / "log", 1.0, name="toy")
    taken = Disturbed(tmp_path, tmp_path / "log", 1.0, name="toy")
    (tmp_path / "toy").mkdir()
    for path in toy.folder.rglob("*.json"):
        copy = tmp_path / "toy" / path.relative_to(toy.folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    (tmp_path / "toy" / "study.db").write_bytes((toy.folder / "study.db").read_bytes())
    assert compare(taken, whole) == Outcome(started=3, finished=3)
    assert compare(taken, whole, tracked=Counter({"0000": 2})).twice == 1

    folder = taken.folder / "trials" / "0000"
    record = TrialRecord.load(folder)
    replace(record, search_ap=record.search_ap | {"mean": 2.0}).save(folder)
    assert compare(taken, whole).changed == 1
    replace(record, state="failed").save(folder)
    assert compare(taken, whole) == Outcome(started=3, finished=2, lost=1)
    record.save(folder)

    study = optuna.load_study(study_name="toy", storage=taken.url)
    study.add_trial(study.trials[0])
    found = compare(taken, whole)
    assert (found.started, found.lost, found.twice) == (4, 0, 2), "one too many, and a configuration that occurs again"
