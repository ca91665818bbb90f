"""What a study is continued with: the same identity, its own storage, and records that are whole."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.core.manifest import Manifest
from harness.core.provenance import Provenance
from harness.core.sealed import read_sealed, write_sealed
from harness.errors import HarnessError, InputError, NonFiniteLossError
from harness.search.storage import single_writer
from tests.search.stub import DOMINATED, QUICK, SEARCH, Plan, Stub, outcome, records

pytestmark = pytest.mark.slow


IDENTITY: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "seed": ({"seed": 1}, {}, "seed 0, not 1"),
    "window": ({"window": 5}, {}, "window 4, not 5"),
    "data": ({"data": replace(QUICK.data, seed=1)}, {}, r"data\.seed 0, not 1"),
    "threads": ({}, {"threads": 2}, "threads 1, not 2"),
    "version": ({}, {}, "version of the training code .*, not 99"),
}


@pytest.mark.parametrize("case", IDENTITY)
def test_a_study_continues_only_with_the_same_identity(stub: Stub, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    changes, resources, message = IDENTITY[case]
    folder = stub.study(trials=1)
    before = outcome(folder)
    if case == "version":
        monkeypatch.setattr("harness.search.identity.TRAINING_VERSION", 99)
    with pytest.raises(InputError, match=message):
        stub.study(trials=1, resources=resources, **changes)
    assert outcome(folder) == before


def test_the_provenance_of_a_network_is_never_rewritten(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.search.run.provenance", lambda *_: Provenance("old", {"torch": "1"}, {"cpu": "A"}))
    with pytest.raises(KeyboardInterrupt):
        stub.study(Plan(interrupt=8), workers=1, trials=3)
    folder = stub.runs / "stub"
    assert [(r.label, r.state) for r in records(folder).values()][-2:] == [("0000", "complete"), ("0001", "running")]
    made = Manifest.load(folder).provenance
    monkeypatch.setattr("harness.search.run.provenance", lambda *_: Provenance("new", {"torch": "2"}, {"cpu": "B"}))
    stub.study(trials=3)
    assert Manifest.load(folder).provenance == made
    by = {label: [one["commit"] for one in r.provenance] for label, r in records(folder).items()}
    assert [by[f"000{n}"] for n in range(3)] == [["old"], ["old", "new"], ["new"]]
    said = "continues a study started with commit old on A (torch 1); new trainings use commit new on B (torch 2)"
    assert said in stub.lines


def test_one_process_runs_a_study(stub: Stub) -> None:
    folder = stub.study(trials=1)
    with single_writer(folder), pytest.raises(InputError, match="is in use"):
        stub.study(trials=1)


def test_trials_and_folder_belong_together(stub: Stub, tmp_path: Path) -> None:
    folder = stub.study(trials=2)
    storage = {"storage": f"sqlite:///{tmp_path / 'other.db'}"}
    with pytest.raises(InputError, match="has a trial 0001 and its storage only 0 trials: give the --storage it was"):
        stub.study(trials=2, resources=storage)
    (folder / "study.db").rename(tmp_path / "other.db")
    shutil.rmtree(folder)
    with pytest.raises(InputError, match="the storage holds 2 trials of 'stub' without records in"):
        stub.study(trials=2, resources=storage)


@pytest.mark.parametrize("changes", [SEARCH, {**DOMINATED, "pruner": "dominated"}], ids=["one", "several objectives"])
def test_lost_records_are_made_again(stub: Stub, changes: dict[str, Any]) -> None:
    """Whatever the number of workers, and also if that is interrupted."""
    folder = stub.study(**changes)
    whole = outcome(folder)
    pruned = [label for label, (state, *_) in whole.items() if state == "pruned"]
    lost = sorted({*pruned[:2], "0000", "0003", "v2"})
    for label in lost:
        (folder / "trials" / label / "record.json").unlink()
    with pytest.raises(KeyboardInterrupt):
        stub.study(Plan(interrupt=3), workers=3, **changes)
    plan = Plan()
    stub.study(plan, workers=3, **changes)
    assert outcome(folder) == whole
    assert {*lost} - {"0000"} <= {*plan.trained} <= {*lost, Manifest.load(folder).standing.best}
    assert f"{lost[-2]}: its record was lost, and is made again" in stub.lines
    assert Manifest.load(folder).standing.trials["wanted"] == changes["trials"]


def test_a_failed_trial_whose_record_is_lost_has_failed(stub: Stub) -> None:
    folder = stub.study(Plan(fail={("0001", 1): NonFiniteLossError("nan")}))
    (folder / "trials" / "0001" / "record.json").unlink()
    plan = Plan()
    stub.study(plan)
    assert records(folder)["0001"].reason == "it failed; the record that said why was lost"
    assert plan.trained == []
    stub.study()


def test_a_lost_record_that_cannot_be_made_again_ends_the_run(stub: Stub) -> None:
    folder = stub.study()
    (folder / "trials" / "0001" / "record.json").unlink()
    for _ in range(2):
        with pytest.raises(
            HarnessError, match="0001: trained again without its record, it does not end as the storage"
        ):
            stub.study(Plan(ap={"0001": [0.1, 0.2]}))


ALTERED: dict[str, tuple[str, dict[str, Any], str]] = {
    "state": ("0001", {"state": "failed"}, r"0001/record\.json says that the trial is failed, the storage complete"),
    "role": ("0001", {"role": "boss"}, r"0001/record\.json is not a trial record: its role is 'boss'"),
    "another role": ("0001", {"role": "reference"}, r"0001/record\.json is not of trial 1 in the storage"),
    "type": ("0001", {"params": "many"}, r"record\.json is not a trial record: params is 'many', which is not int"),
    "label": (
        "0001",
        {"label": "0002"},
        r"0001/record\.json is the record of '0002': it lies in the folder of another",
    ),
    "number": ("0001", {"number": 2}, r"0001/record\.json is not of trial 2 in the storage"),
    "configuration": ("0001", {"configuration": {}}, r"0001/record\.json is not of trial 1 in the storage"),
    "a further trial": ("0001", {"number": 9}, "has a trial 0009 and its storage only 4 trials"),
}


@pytest.mark.parametrize("case", ALTERED)
@pytest.mark.parametrize("by_hand", [True, False])
def test_an_altered_record_is_refused(stub: Stub, case: str, by_hand: bool) -> None:
    """By hand, or by a program that knows how the file is protected."""
    folder = stub.study()
    name, change, said = ALTERED[case]
    path = folder / "trials" / name / "record.json"
    if by_hand:
        path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change), encoding="utf-8")
        said = r"record\.json was changed after it was written: its content does not match its digest"
    else:
        write_sealed(path, read_sealed(path) | change)
    with pytest.raises(InputError, match=f"{said}.*put the original back|{said}: give the --storage"):
        stub.study()
    path.unlink()
    stub.study()
    assert records(folder)[name].state == "complete"
