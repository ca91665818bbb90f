"""Tracking to a local store, also after an interruption."""

import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.core.ablation import Ablation, Arm, Difference
from harness.core.arch import ARCHS
from harness.core.record import TrialRecord
from harness.errors import InputError
from harness.tracking import NullTracker, default_uri, open_tracker, resync
from harness.tracking.content import Content, trial_content
from harness.tracking.sender import Sender
from harness.tracking.state import TrackingState
from harness.tracking.store import Store, _client
from tests.tracking.fake_run import PATIENCE, Folder, finish, make_record, make_study, wait_until

ROOT = Path(__file__).parents[2]


def test_a_study_becomes_nested_runs(folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    tracker = folder.tracker()
    tracker.start_study(folder.study)
    folder.run(tracker)
    for label, state in (("0001", "pruned"), ("0002", "failed")):
        tracker.trial(make_record(label, 2, state))
    (folder.path / "report").mkdir()
    (folder.path / "report" / "report.md").write_text("# Report\n", encoding="utf-8")
    weights = folder.path / "trials" / "0000" / "weights.safetensors"
    weights.write_bytes(b"weights")
    tracker.artifacts(None, [folder.path / "report", weights])
    tracker.finish_study(finish(folder.study))
    assert tracker.close(PATIENCE) == 0
    assert folder.warnings == []

    runs = folder.runs()
    assert set(runs) == {folder.name, "v1", "v2", "0000", "0001", "0002"}
    parent, trial = runs[folder.name], runs["0000"]
    assert {run.data.tags.get("mlflow.parentRunId") for name, run in runs.items() if run is not parent} == {
        parent.info.run_id
    }
    assert [runs[name].info.status for name in (folder.name, "0000", "0001", "0002")] == [
        "FINISHED",
        "FINISHED",
        "KILLED",
        "FAILED",
    ]
    assert [runs[name].data.tags["role"] for name in ("v1", "v2", "0000")] == ["teacher", "reference", "candidate"]
    assert runs["0002"].data.tags["reason"] == "loss is not finite: box nan"
    assert (trial.data.metrics["ap_val"], trial.data.metrics["ap_search"]) == (0.8041, 0.8)
    assert trial.data.params["neck.channels"] == "32"
    assert runs["v1"].data.params["neck.channels"] == "74", "references stand in the candidates' columns"
    assert folder.history(trial, "loss/box") == [(1, 2.0), (2, 1.0), (3, 2 / 3), (4, 0.5)]
    assert parent.data.params["budget.max_params"] == "256148"
    assert parent.data.metrics["best_ap_val"] == 0.8041
    assert "0000 (best)" in parent.data.tags["mlflow.note.content"]

    client = _client(default_uri(folder.path.parent))
    artifacts = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert artifacts == {"report", "space.json", "study.json", "weights.safetensors"}
    kept = folder.path.parent / "mlartifacts" / folder.name / parent.info.run_id / "artifacts" / "report" / "report.md"
    assert kept.read_text(encoding="utf-8") == "# Report\n"
    assert not (tmp_path / "mlruns").exists()
    assert tracker.links()["0000"].endswith(f"runs/{trial.info.run_id}?workflowType=machine_learning")
    assert tracker.url() == f"python -m harness.ui --runs {folder.path.parent}"


def test_resume_neither_duplicates_nor_loses(folder: Folder) -> None:
    first = folder.tracker()
    first.start_study(folder.study)
    folder.run(first, ("v1", "v2"))
    make_record("0000", 2).save(folder.path / "trials" / "0000")
    first.trial(make_record("0000", 2))
    assert first.close(PATIENCE) == 0
    interrupted = folder.runs()
    assert interrupted[folder.name].info.status == "KILLED"
    assert interrupted["0000"].info.status == "KILLED"
    assert interrupted["0000"].data.tags["state"] == "interrupted"

    # Trained without tracking: only the records have it.
    make_record("0001", 4, "complete").save(folder.path / "trials" / "0001")
    second = folder.tracker()
    longer = replace(folder.study, config=replace(folder.study.config, trials=5))
    second.start_study(longer)
    folder.run(second, ("v1", "v2", "0000"))
    second.finish_study(finish(longer))
    assert second.close(PATIENCE) == 0
    assert folder.warnings == []
    runs = folder.runs()
    assert set(runs) == {folder.name, "v1", "v2", "0000", "0001"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for name in ("v1", "v2", "0000", "0001"):
        assert [step for step, _ in folder.history(runs[name], "epoch/ap_search")] == [1, 2, 3, 4]
        assert len(folder.history(runs[name], "ap_search")) == 1
    parent = runs[folder.name].data
    assert (parent.params["trials"], parent.tags["now.trials"]) == ("3", "5"), "MLflow's parameters cannot change"


@pytest.mark.slow
def test_the_records_of_a_killed_process_are_sent_later(folder: Folder) -> None:
    script = f"""
import os
from pathlib import Path
from tests.tracking.fake_run import Folder, wait_until
folder = Folder(Path({str(folder.path.parent)!r}), {folder.name!r})
tracker = folder.tracker()
tracker.start_study(folder.study)
folder.run(tracker, ("v1",))
wait_until(lambda: "v1" in tracker.links())
folder.run(tracker, ("v2", "0000"))
os._exit(9)
"""
    killed = subprocess.run([sys.executable, "-c", script], check=False, timeout=PATIENCE, cwd=ROOT)
    assert killed.returncode == 9
    finish(folder.study).save(folder.path)
    assert resync(folder.path, warn=folder.warnings.append, timeout=PATIENCE) == 0
    assert resync(folder.path, warn=folder.warnings.append, timeout=PATIENCE) == 0
    assert folder.warnings == []
    runs = folder.runs()
    assert set(runs) == {folder.name, "v1", "v2", "0000"}
    for name in ("v1", "v2", "0000"):
        assert runs[name].info.status == "FINISHED"
        assert [step for step, _ in folder.history(runs[name], "loss/box")] == [1, 2, 3, 4]


def test_a_deleted_run_is_created_again_by_the_next_run(folder: Folder) -> None:
    tracker = folder.tracker()
    tracker.start_study(folder.study)
    folder.run(tracker, ("0000", "0001"))
    assert tracker.close(PATIENCE) == 0
    first = folder.runs()
    _client(default_uri(folder.path.parent)).delete_run(first["0001"].info.run_id)
    finish(folder.study).save(folder.path)
    assert resync(folder.path, timeout=PATIENCE) == 0
    second = folder.runs()
    assert second["0000"].info.run_id == first["0000"].info.run_id
    assert second["0001"].info.run_id != first["0001"].info.run_id
    assert second["0001"].data.metrics == first["0001"].data.metrics


def test_a_run_deleted_meanwhile_is_created_again(folder: Folder) -> None:
    tracker = folder.tracker()
    tracker.start_study(folder.study)
    folder.run(tracker, ("0000",))
    wait_until(lambda: not tracker._sender.pending and "0000" in tracker.links())
    wait_until(lambda: folder.runs()["0000"].info.status == "FINISHED")
    first = folder.runs()["0000"]
    with sqlite3.connect(folder.path.parent / "mlflow.db", timeout=PATIENCE) as store:
        for table in ("latest_metrics", "metrics", "params", "tags", "runs"):
            store.execute(f"delete from {table} where run_uuid = ?", (first.info.run_id,))
    store.close()
    again = make_record("0000", 4, "complete")
    again.speed["fps"] = 30.0
    tracker.trial(again)
    tracker.finish_study(finish(folder.study))
    assert tracker.close(PATIENCE) == 0
    assert folder.warnings == []
    second = folder.runs()["0000"]
    assert second.info.run_id != first.info.run_id
    assert second.data.metrics == {**first.data.metrics, "fps": 30.0}
    assert [step for step, _ in folder.history(second, "loss/box")] == [1, 2, 3, 4]


def test_a_refused_value_costs_one_warning_and_no_other_run(folder: Folder) -> None:
    tracker = folder.tracker()
    tracker.start_study(folder.study)
    odd = make_record("0000", 2, "complete")
    odd.epochs[0]["losses"] = {"box?": 1.0}
    tracker.trial(odd)
    tracker.trial(make_record("0001", 2, "complete"))
    tracker.finish_study(folder.study)
    assert tracker.close(PATIENCE) == 0
    assert len(folder.warnings) == 1
    assert "refuses values of run '0000'" in folder.warnings[0]
    assert folder.runs()["0001"].data.metrics["ap_search"] == 0.8


def test_a_study_never_waits_and_sends_each_trial_once(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty trials of eight epochs are reported while the store does not return: no call waits for it.

    When it answers, every run is written once, however often its trial was reported.
    """
    sending, answer = threading.Event(), threading.Event()
    send, write, written = Sender.send, Store.write, Counter[str]()

    def wait_and_send(sender: Sender) -> None:
        sending.set()
        assert answer.wait(PATIENCE)
        send(sender)

    def count_and_write(store: Store, run_id: str, content: Content, started: int, ended: int) -> None:
        written[content.name] += 1
        write(store, run_id, content, started, ended)

    monkeypatch.setattr(Sender, "send", wait_and_send)
    monkeypatch.setattr(Store, "write", count_and_write)
    content = trial_content(make_record("0000", 8, "complete"), folder.study)
    assert len(content.params) >= 13
    assert len(content.metrics) >= 10

    tracker = folder.tracker()
    tracker.start_study(folder.study)
    assert sending.wait(PATIENCE)
    labels = [f"{number:04d}" for number in range(20)]

    def report() -> None:
        for label in labels:
            for epochs in range(9):
                tracker.trial(make_record(label, epochs))
            tracker.trial(make_record(label, 8, "complete"))

    calls = threading.Thread(target=report, daemon=True)
    calls.start()
    calls.join(PATIENCE)
    assert not calls.is_alive(), "the study waits for the store"
    assert not answer.is_set()
    tracker.finish_study(finish(folder.study))
    answer.set()
    assert tracker.close(PATIENCE) == 0
    assert {label: written[label] for label in labels} == dict.fromkeys(labels, 1)
    assert written[folder.name] == 2, "at the start and at the end"
    assert set(folder.runs()) == {folder.name, *labels}


def test_an_unwritable_study_folder_is_a_warning(folder: Folder) -> None:
    (folder.path / "tracking.json").mkdir()
    tracker = folder.tracker()
    tracker.start_study(folder.study)
    tracker.trial(make_record("0000", 1))
    assert tracker.close() == 1
    assert len(folder.warnings) == 2
    assert "the study continues" in folder.warnings[0]


def test_null_tracker_and_the_choice(tmp_path: Path) -> None:
    tracker = open_tracker("none", tmp_path / "study", "study")
    assert isinstance(tracker, NullTracker)
    tracker.start_study(make_study("study"))
    tracker.trial(make_record("0000"))
    tracker.artifacts(None, [tmp_path])
    tracker.finish_study(finish(make_study("study")))
    assert (tracker.close(), tracker.url()) == (0, "")
    assert list(tmp_path.iterdir()) == []
    local = open_tracker(None, tmp_path / "runs" / "study", "study")
    assert local.url() == f"python -m harness.ui --runs {tmp_path / 'runs'}"
    assert local.close() == 0


def test_resync_of_no_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no study: there is no study\.json in it"):
        resync(tmp_path)


def test_the_seeds_of_an_ablation_are_nested_below_their_network(folder: Folder) -> None:
    """The runs that compare are the networks', with means and deviations over their seeds."""
    arms = tuple(Arm(label, ARCHS["v2"]) for label in ("one", "other"))
    ablation = Ablation("grid", arms, (Difference("one", "other", "test"),), (2,))
    config = replace(folder.study.config, trials=0, ablation=ablation)
    folder.study = replace(folder.study, config=config, standing=replace(folder.study.standing, trials={"wanted": 0}))
    folder.study.save(folder.path)
    tracker = folder.tracker()
    tracker.start_study(folder.study)
    for arm in arms:
        for number, shift in ((1, 0.0), (2, 0.1)):
            record = replace(make_record(arm.label, state="complete"), role="reference")
            if number == 2:
                record = replace(record, label=f"{arm.label}-s2", repeat_of=arm.label, seed=8)
            record.ap = {"easy": 0.9, "medium": 0.8, "hard": 0.7, "mean": 0.7 + shift}
            record.save(folder.path / "trials" / record.label)
            tracker.trial(record)
    tracker.finish_study(folder.study)
    assert tracker.close(PATIENCE) == 0
    runs = folder.runs()
    assert set(runs) == {folder.name, "one", "one-s1", "one-s2", "other", "other-s1", "other-s2"}
    network = runs["one"]
    parents = {name: run.data.tags.get("mlflow.parentRunId") for name, run in runs.items()}
    assert parents["one"] == parents["other"] == runs[folder.name].info.run_id
    assert parents["one-s1"] == parents["one-s2"] == network.info.run_id
    assert (network.data.tags["role"], network.info.status) == ("arm", "FINISHED")
    metrics = network.data.metrics
    assert (metrics["ap_val"], metrics["ap_val_std"], metrics["seeds"]) == (0.75, 0.0707, 2)
    assert "protocol.seed" not in network.data.params
    assert runs["one-s2"].data.params["protocol.seed"] == "8"

    tracker = folder.tracker()  # A second run of the study sends nothing twice.
    tracker.start_study(folder.study)
    tracker.finish_study(folder.study)
    assert tracker.close(PATIENCE) == 0
    assert {name: run.info.run_id for name, run in folder.runs().items()} == {n: r.info.run_id for n, r in runs.items()}


class Nowhere:
    """A server that takes everything and keeps nothing."""

    experiment_id = "1"

    def __init__(self, *_: Any) -> None:
        pass

    def find_runs(self, _: str) -> dict[str, str]:
        return {}

    def create_run(self, name: str, *_: Any) -> str:
        return f"run of {name}"

    def __getattr__(self, _: str) -> Any:
        return lambda *_: None


def test_a_trial_costs_the_same_after_many_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a study runs, no other trial's record is read and the state of all is not written for each."""
    folder, done = tmp_path / "mine", Counter[str]()

    def counted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def called(*given: Any) -> Any:
            done[name] += 1
            return function(*given)

        return called

    monkeypatch.setattr(TrialRecord, "load", counted("load", TrialRecord.load))
    monkeypatch.setattr(TrackingState, "save", counted("save", TrackingState.save))
    monkeypatch.setattr("harness.tracking.sender.Store", Nowhere)
    make_record("0000", 4).save(folder / "trials" / "0000")
    sender = Sender(default_uri(tmp_path), folder, "mine", pytest.fail)
    sender.set_study(make_study("mine"), None)
    for number in range(1, 20):
        record = make_record(f"{number:04d}", 4)
        record.save(folder / "trials" / record.label)
        sender.add_trial(record, number)
        sender.send()
    assert done == {"load": 1, "save": 1}
    sender.set_study(make_study("mine"), True)
    sender.send()
    assert len(TrackingState.load(folder / "tracking.json", default_uri(tmp_path)).sent) == 20
