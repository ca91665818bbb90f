"""Tracking against real MLflow stores: SQLite, a server that is down and comes up, one that hangs, and a browser."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import ui
from harness.core.arch import ARCHS, SLOTS
from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord, write_json
from harness.errors import InputError
from harness.tracking import MLflowTracker, NullTracker, Tracker, default_uri, open_tracker, resync
from harness.tracking.address import check_uri, redact
from harness.tracking.content import flatten, study_content, trial_content
from harness.tracking.store import _client
from harness.tracking.view import view_route
from tests.fake_landmarks import landmark_error

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PATIENCE = 120.0
"""Seconds that a test waits for what takes two on a machine that does nothing else."""


def make_study(name: str, wanted: int = 3) -> dict[str, Any]:
    config = StudyConfig(name, "Students under the budget.", "v2_light", trials=wanted)
    return {
        "name": name,
        "config": config.to_dict(),
        "space": {"name": "v2_light", "axes": [{"name": "neck.channels", "values": [24, 32]}]},
        "space_digest": "5bace0000000",
        "space_size": 124_416,
        "space_feasible": 21_345,
        "data": {"train_digest": "7ra1n00000000000", "val_digest": "da7a000000000000", "source": "synthetic"},
        "protocol": {"digest": "9ro70c010000"},
        "teacher": {"label": "v1", "digest": "7eac4e000000"},
        "commit": "c56af46",
        "command": "python -m harness.study --space v2_light",
        "timing": {"total": 500.0, "overhead_share": 0.031},
        "trials": {"complete": 0, "pruned": 0, "failed": 0, "running": 0, "wanted": wanted},
        "best": None,
    }


def finish(study: dict[str, Any], best: str = "0000") -> dict[str, Any]:
    wanted = study["trials"]["wanted"]
    return {**study, "best": best, "trials": {**study["trials"], "complete": wanted}}


def make_record(label: str, epochs: int = 4, state: str = "running") -> TrialRecord:
    candidate = label.isdigit()
    parts = dict(zip(SLOTS, (213_072, 6_600, 26_068, 868, 6_192, 1_056, 2_292), strict=True))
    record = TrialRecord(
        label,
        "candidate" if candidate else "teacher" if label == "v1" else "reference",
        number=int(label) if candidate else None,
        state=state,
        seed=7,
        configuration={"neck.channels": 32, "distill.temperature": 4.0} if candidate else {},
        arch=ARCHS["v1" if label == "v1" else "v2"].to_dict(),
        distill={} if label == "v1" else {"temperature": 4.0, "alpha": 0.7, "feature_weight": 0.5},
        params=sum(parts.values()),
        parts=parts,
        macs=410_568_000,
        size_mb=1.05,
        protocol={"evaluation": "e"},
    )
    for epoch in range(1, epochs + 1):
        ap = {"easy": 0.2 * epoch, "medium": 0.15 * epoch, "hard": None, "mean": 0.1 * epoch}
        losses = {"box": 2 / epoch, "class": 3 / epoch, "landmark": 1 / epoch}
        record.epochs.append({"epoch": epoch, "losses": losses, "ap": ap, "lr": 1e-3, "seconds": 2.5})
    if state == "complete":
        record.ap = {"easy": 0.912_345, "medium": 0.8, "hard": 0.7, "mean": 0.804_115}
        record.curves = {"easy": {"precision": [1.0], "recall": [0.0]}}
        record.landmark = landmark_error(0.05)
        record.speed = {
            "fps": 28.1,
            "latency_ms": 35.6,
            "ratio_to_v1": 1.41,
            "device": "cpu",
            "threads": 1,
            "size": 640,
        }
        record.seconds = {"train": 10.0, "total": 14.0}
    if state in ("pruned", "failed"):
        record.reason = "below the median" if state == "pruned" else "loss is not finite: box nan"
    return record


class Folder:
    """A study folder as a run leaves it, and what a store holds of it."""

    def __init__(self, runs: Path, name: str) -> None:
        self.path = runs / name
        self.name = name
        self.study = make_study(name)
        self.warnings: list[str] = []
        self.path.mkdir(parents=True, exist_ok=True)
        write_json(self.path / "study.json", self.study)

    def tracker(self, uri: str | None = None) -> MLflowTracker:
        return MLflowTracker(uri or default_uri(self.path.parent), self.path, self.name, self.warnings.append)

    def run(self, tracker: Tracker, labels: tuple[str, ...] = ("v1", "v2", "0000"), epochs: int = 4) -> None:
        """Tell what a study tells: the record at the start, after every epoch, and at the end."""
        for label in labels:
            for record in [make_record(label, done) for done in range(epochs + 1)] + [
                make_record(label, epochs, "complete")
            ]:
                record.save(self.path / "trials" / label)
                tracker.trial(record)

    def runs(self, uri: str | None = None) -> dict[str, Any]:
        """Return run name → run, as MLflow's own client reads it; a name that stands twice fails."""
        client = _client(uri or default_uri(self.path.parent))
        experiment = client.get_experiment_by_name(self.name)
        found = client.search_runs([experiment.experiment_id], max_results=1000)
        names = [run.info.run_name for run in found]
        assert len(names) == len(set(names)), f"runs stand twice: {sorted(names)}"
        return {run.info.run_name: run for run in found}

    def history(self, run: Any, metric: str, uri: str | None = None) -> list[tuple[int, float]]:
        points = _client(uri or default_uri(self.path.parent)).get_metric_history(run.info.run_id, metric)
        return sorted((point.step, point.value) for point in points)


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One store for all tests of this file (making its tables takes seconds), with an awkward name."""
    return tmp_path_factory.mktemp("runs é 100%") / "runs"


@pytest.fixture
def folder(runs_folder: Path, request: pytest.FixtureRequest) -> Folder:
    return Folder(runs_folder, request.node.name.removeprefix("test_").partition("[")[0])


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {seconds} s"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module", autouse=True)
def server_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """Port of a real MLflow server, started with the first test so that it is up when the last ones need it."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", str(folder / "art")]
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(
        command,
        env={**os.environ, **quiet},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield port
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


@contextmanager
def gate(port: int, target: int) -> Iterator[None]:
    """Let ``port`` lead to the server at ``target``; before and after, connections are refused."""

    def carry(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        with suppress(OSError):
            while True:
                inside, _ = entrance.accept()
                outside = socket.create_connection(("127.0.0.1", target))
                ends.extend((inside, outside))
                for pair in ((inside, outside), (outside, inside)):
                    threading.Thread(target=carry, args=pair, daemon=True).start()

    ends: list[socket.socket] = []
    entrance = socket.create_server(("127.0.0.1", port))
    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield
    finally:
        entrance.shutdown(socket.SHUT_RDWR)
        thread.join()
        for end in (entrance, *ends):
            end.close()


# What is logged, as data.


def test_content_of_a_trial_names_every_axis_and_value() -> None:
    record = make_record("0000", 2, "complete")
    record.teacher = {"label": "v1", "digest": "7eac4e000000", "params": 487_103}
    content = trial_content(record, make_study("s"))
    assert content.params["neck.channels"] == "32"
    assert content.params["neck.name"] == "bifpn_light"
    assert {content.params[f"distill.{key}"] for key in ("temperature", "alpha", "feature_weight")} == {
        "4.0",
        "0.7",
        "0.5",
    }
    assert content.params["protocol.teacher"] == "v1 7eac4e000000"
    assert content.metrics["ap_mean"] == 0.8041
    assert content.metrics["params"] == 256_148 == sum(content.metrics[f"params_{slot}"] for slot in SLOTS)
    assert content.metrics["macs"] == 410_568_000
    assert {"fps", "latency_ms", "ratio_to_v1", "size_mb", "landmark_nme"} <= set(content.metrics)
    assert (content.metrics["landmark_matched"], content.metrics["landmark_faces"]) == (812, 1_024)
    assert {"space_digest", "data_digest", "arch_digest", "protocol_digest", "role", "state"} <= set(content.tags)
    epoch, seconds, metrics = content.curves[1]
    assert (epoch, seconds) == (2, 5.0)
    assert metrics["loss/box"] == 1.0
    assert metrics["epoch/ap_mean"] == 0.2
    assert "epoch/ap_hard" not in metrics, "a difficulty without faces is left out, not scored 0"


def test_what_was_not_measured_is_no_metric() -> None:
    record = make_record("0000", 2, "complete")
    record.ap, record.landmark = {**record.ap, "easy": None}, landmark_error(None, 0)
    metrics = trial_content(record, make_study("s")).metrics
    assert {"ap_easy", "landmark_nme", "landmark_failure_rate"}.isdisjoint(metrics)
    assert (metrics["ap_mean"], metrics["landmark_matched"], metrics["landmark_faces"]) == (0.8041, 0, 1_024)


@pytest.mark.parametrize(
    ("state", "status"), [("running", "RUNNING"), ("complete", "FINISHED"), ("pruned", "KILLED"), ("failed", "FAILED")]
)
def test_content_status_and_reason(state: str, status: str) -> None:
    content = trial_content(make_record("0001", 1, state), make_study("s"))
    assert content.status == status
    assert ("reason" in content.tags) == (state in ("pruned", "failed"))
    assert ("ap_mean" in content.metrics) == (state == "complete"), "a trial without a final AP shows none"


def test_content_of_a_study_describes_it() -> None:
    records = {label: make_record(label, 1, "complete") for label in ("v1", "v2", "0000")}
    note = study_content(finish(make_study("mine")), records, True).tags["mlflow.note.content"]
    assert "budget 256,148 parameters: 21,345 of 124,416 configurations fit" in note
    assert "| 0000 (best) | candidate | 256,148 | 0.9123 |" in note


def test_flatten_leaves_out_what_is_empty() -> None:
    assert flatten({"a": {"b": 1, "c": None}, "d": ("x", "y"), "e": ""}) == {"a.b": "1", "d": "x,y"}


# Addresses.


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("foo://bar", "unknown scheme 'foo'"),
        ("file:///tmp/mlruns", "no longer supported; did you mean 'sqlite:////tmp/mlruns/mlflow.db'?"),
        ("file:mlruns", "did you mean 'sqlite:///mlruns/mlflow.db'?"),
        ("nonsense", "not a tracking URI"),
        ("", "not a tracking URI"),
        ("localhost:5000", "did you mean 'http://localhost:5000'?"),
        ("runs/mlflow.db", "did you mean 'sqlite:///runs/mlflow.db'?"),
        ("http://", "names no host"),
        ("http://host:port", "Port could not be cast"),
        ("http://host:99999", "Port out of range"),
        ("http://two words", "not a tracking URI"),
        ("sqlite://", "needs a file"),
        ("sqlite:///", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:///tests", "names a folder"),
        ("sqlite:///pyproject.toml", "is not a SQLite database"),
        ("sqlite:///pyproject.toml/mlflow.db", "cannot be made"),
        ("mysql://user:secret@host/db", "driver 'MySQLdb' is not installed"),
    ],
)
def test_malformed_uri_is_refused_before_anything_starts(uri: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        MLflowTracker(uri, tmp_path / "study", "study")
    message = str(caught.value)
    assert told in message
    assert "accepted: http(s)://HOST:PORT, sqlite:///PATH" in message
    assert "\n" not in message
    assert "secret" not in message
    assert not (tmp_path / "study").exists()


def test_accepted_uris(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert check_uri("sqlite:///sub/mlflow.db") == f"sqlite:///{tmp_path}/sub/mlflow.db"
    assert check_uri("http://127.0.0.1:1/") == "http://127.0.0.1:1"
    assert check_uri(default_uri(Path("runs"))) == f"sqlite:///{tmp_path}/runs/mlflow.db"
    assert redact("postgresql://me:secret@host/db") == "postgresql://me:***@host/db"


# A local store.


def test_study_lands_as_nested_runs(folder: Folder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
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
    assert trial.data.metrics["ap_mean"] == 0.8041
    assert trial.data.params["neck.channels"] == "32"
    assert runs["v1"].data.params["neck.channels"] == "74", "references stand in the candidates' columns"
    assert folder.history(trial, "loss/box") == [(1, 2.0), (2, 1.0), (3, 2 / 3), (4, 0.5)]
    assert parent.data.params["budget.max_params"] == "256148"
    assert parent.data.metrics["best_ap_mean"] == 0.8041
    assert "0000 (best)" in parent.data.tags["mlflow.note.content"]

    client = _client(default_uri(folder.path.parent))
    artifacts = {item.path for item in client.list_artifacts(parent.info.run_id)}
    assert artifacts == {"report", "space.json", "study.json", "weights.safetensors"}
    kept = folder.path.parent / "mlartifacts" / folder.name / parent.info.run_id / "artifacts" / "report" / "report.md"
    assert kept.read_text(encoding="utf-8") == "# Report\n"
    assert not (tmp_path / "mlruns").exists()
    assert tracker.links()["0000"].endswith(f"runs/{trial.info.run_id}")
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

    # Trained while nothing was tracked: only the records know.
    make_record("0001", 4, "complete").save(folder.path / "trials" / "0001")
    second = folder.tracker()
    longer = {**folder.study, "config": {**folder.study["config"], "trials": 5}}
    second.start_study(longer)
    folder.run(second, ("v1", "v2", "0000"))
    second.finish_study(finish(longer))
    assert second.close(PATIENCE) == 0
    assert folder.warnings == []
    runs = folder.runs()
    assert set(runs) == {folder.name, "v1", "v2", "0000", "0001"}
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for name in ("v1", "v2", "0000", "0001"):
        assert [step for step, _ in folder.history(runs[name], "epoch/ap_mean")] == [1, 2, 3, 4]
        assert len(folder.history(runs[name], "ap_mean")) == 1
    parent = runs[folder.name].data
    assert (parent.params["trials"], parent.tags["now.trials"]) == ("3", "5"), "MLflow's parameters cannot change"


def test_killed_process_is_caught_up(folder: Folder) -> None:
    script = f"""
import os, sys, time
sys.path[:0] = [{str(Path(__file__).parent)!r}]
from pathlib import Path
from tests.tracking.test_tracking import Folder
folder = Folder(Path({str(folder.path.parent)!r}), {folder.name!r})
tracker = folder.tracker()
tracker.start_study(folder.study)
folder.run(tracker, ("v1",))
while "v1" not in tracker.links():
    time.sleep(0.01)
folder.run(tracker, ("v2", "0000"))
os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=PATIENCE).returncode == 9
    write_json(folder.path / "study.json", finish(folder.study))
    assert resync(folder.path, warn=folder.warnings.append, timeout=PATIENCE) == 0
    assert resync(folder.path, warn=folder.warnings.append, timeout=PATIENCE) == 0
    assert folder.warnings == []
    runs = folder.runs()
    assert set(runs) == {folder.name, "v1", "v2", "0000"}
    for name in ("v1", "v2", "0000"):
        assert runs[name].info.status == "FINISHED"
        assert [step for step, _ in folder.history(runs[name], "loss/box")] == [1, 2, 3, 4]


def test_a_deleted_run_is_written_anew_by_the_next_run(folder: Folder) -> None:
    tracker = folder.tracker()
    tracker.start_study(folder.study)
    folder.run(tracker, ("0000", "0001"))
    assert tracker.close(PATIENCE) == 0
    first = folder.runs()
    _client(default_uri(folder.path.parent)).delete_run(first["0001"].info.run_id)
    write_json(folder.path / "study.json", finish(folder.study))
    assert resync(folder.path, timeout=PATIENCE) == 0
    second = folder.runs()
    assert second["0000"].info.run_id == first["0000"].info.run_id
    assert second["0001"].info.run_id != first["0001"].info.run_id
    assert second["0001"].data.metrics == first["0001"].data.metrics


def test_a_run_that_vanishes_meanwhile_is_written_anew(folder: Folder) -> None:
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
    assert folder.runs()["0001"].data.metrics["ap_mean"] == 0.8041


def test_overhead_is_bounded(folder: Folder) -> None:
    """20 nested runs of more than 13 parameters and 10 metrics, 8 epochs: the caller never waits."""
    tracker = folder.tracker()
    tracker.start_study(folder.study)
    content = trial_content(make_record("0000", 8, "complete"), folder.study)
    assert len(content.params) >= 13
    assert len(content.metrics) >= 10
    told = [make_record(f"{n:04d}", done) for n in range(20) for done in range(9)]
    told += [make_record(f"{n:04d}", 8, "complete") for n in range(20)]
    started = time.perf_counter()
    for record in told:
        tracker.trial(record)
    blocked = time.perf_counter() - started
    tracker.finish_study(finish(folder.study))
    assert tracker.close(PATIENCE) == 0
    assert blocked < 1.0, f"the study waited {blocked:.2f} s for {len(told)} calls"
    assert time.perf_counter() - started < PATIENCE
    assert len(folder.runs()) == 21


def test_an_unwritable_study_folder_is_a_warning(runs_folder: Path, tmp_path: Path) -> None:
    folder = Folder(tmp_path, "unwritable")
    (folder.path / "tracking.json").mkdir()
    tracker = folder.tracker(default_uri(runs_folder))
    tracker.start_study(folder.study)
    tracker.trial(make_record("0000", 1))
    assert tracker.close() == 1
    assert len(folder.warnings) == 2
    assert "the study goes on" in folder.warnings[0]


def test_null_tracker_and_the_choice(tmp_path: Path) -> None:
    tracker = open_tracker("none", tmp_path / "study", "study")
    assert isinstance(tracker, NullTracker)
    tracker.start_study(make_study("study"))
    tracker.trial(make_record("0000"))
    tracker.artifacts(None, [tmp_path])
    tracker.finish_study({})
    assert (tracker.close(), tracker.url()) == (0, "")
    assert list(tmp_path.iterdir()) == []
    local = open_tracker(None, tmp_path / "runs" / "study", "study")
    assert local.url() == f"python -m harness.ui --runs {tmp_path / 'runs'}"
    assert local.close() == 0


def test_resync_of_no_study(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no readable study\.json"):
        resync(tmp_path)


# Servers.


def test_unreachable_server_costs_one_line_and_no_time(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "runs", "unreachable")
    tracker = folder.tracker("http://127.0.0.1:1")
    tracker.start_study(folder.study)
    folder.run(tracker, ("v1", "v2"))
    wait_until(lambda: bool(folder.warnings))
    started = time.perf_counter()
    assert tracker.close() == 2
    assert time.perf_counter() - started < 20
    assert len(folder.warnings) == 2
    assert folder.warnings[0].startswith("tracking at http://127.0.0.1:1 does not answer (Connection refused)")
    assert folder.warnings[1].startswith("tracking at http://127.0.0.1:1: 2 trials not sent yet; nothing is lost")


def test_hanging_server_does_not_hold_the_end(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "runs", "hanging")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        tracker = folder.tracker(f"http://127.0.0.1:{silent.getsockname()[1]}")
        tracker.start_study(folder.study)
        folder.run(tracker, ("v1",))
        started = time.perf_counter()
        assert tracker.close(timeout=1.0) == 1
        assert time.perf_counter() - started < 4.0
    assert "1 trial not sent yet" in folder.warnings[-1]


def test_a_server_that_comes_up_gets_everything(
    tmp_path: Path, server_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")  # A machine that is busy with other tests is not down.
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    folder = Folder(tmp_path / "runs", "down-then-up")
    tracker = folder.tracker(uri)
    tracker.start_study(folder.study)
    folder.run(tracker, ("v1",))
    (folder.path / "trials" / "v1" / "weights.safetensors").write_bytes(b"weights")
    tracker.artifacts(None, [folder.path / "trials" / "v1" / "weights.safetensors"])
    wait_until(lambda: bool(folder.warnings))
    wait_until(lambda: answers(f"http://127.0.0.1:{server_port}/health"))
    with gate(port, server_port):
        folder.run(tracker, ("v2",))
        wait_until(lambda: "v2" in tracker.links())
        assert tracker.close(PATIENCE) == 0
        assert len(folder.warnings) == 1
        assert tracker.url().startswith(f"{uri}/#/experiments/")
        assert {"v1", "v2", folder.name} == set(folder.runs(uri))
    # Down again: what this run trains waits for the next one.
    second = folder.tracker(uri)
    second.start_study(folder.study)
    folder.run(second, ("0000",))
    assert second.close() == 1
    write_json(folder.path / "study.json", finish(folder.study))
    with gate(port, server_port):
        assert resync(folder.path, uri, timeout=PATIENCE) == 0
        runs = folder.runs(uri)
        assert set(runs) == {"v1", "v2", "0000", folder.name}
        for label in ("v1", "v2", "0000"):
            assert [step for step, _ in folder.history(runs[label], "loss/box", uri)] == [1, 2, 3, 4]
            assert runs[label].info.status == "FINISHED"
        files = {item.path for item in _client(uri).list_artifacts(runs[folder.name].info.run_id)}
        assert files == {"space.json", "study.json", "weights.safetensors"}
    assert not (tmp_path / "runs" / "mlartifacts").exists(), "a server keeps artifacts itself"


# The pages.


def test_ui_refuses_what_it_cannot_show(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing was tracked there yet"):
        ui.main(["--runs", str(tmp_path)])
    with pytest.raises(InputError, match="is an MLflow server already"):
        ui.main(["--tracking-uri", "http://127.0.0.1:5000"])
    sqlite3.connect(tmp_path / "mlflow.db").close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port} cannot be used"):
            ui.main(["--runs", str(tmp_path), "--port", str(port)])
    with pytest.raises(InputError, match="between 1 and 65535"):
        ui.main(["--runs", str(tmp_path), "--port", "70000"])


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium found: apt-get install chromium to see the pages tested")
def test_browser_shows_the_trials_side_by_side(folder: Folder, tmp_path: Path) -> None:
    tracker = folder.tracker()
    tracker.start_study(folder.study)
    folder.run(tracker, ("v1", "v2", "0000"), epochs=2)
    tracker.trial(replace(make_record("0042", 2, "complete"), ap={"mean": 0.4242}))
    tracker.finish_study(finish(folder.study))
    assert tracker.close(PATIENCE) == 0
    command = [sys.executable, "-m", "harness.ui", "--runs", str(folder.path.parent), "--port", str(free_port())]
    with subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            text = ""
            while not text.endswith("}\n}\n"):
                line = server.stdout.readline()
                assert line, f"the server ended: {text}"
                text += line.replace(" }\n", "}\n")
            page = json.loads(text)["experiments"][folder.name]
            assert page.endswith(view_route(tracker._sender.state.experiment_id))
            shown = browse(page, tmp_path)
        finally:
            server.send_signal(signal.SIGTERM)
        assert server.wait(20) == 0
    for name in ("v1", "v2", "0000", "0042"):
        assert f">{name}</" in shown
    for column in ("ap_mean", "params", "fps", "role"):
        assert f">{column}</" in shown
    assert "0.4242" in shown
    assert "256148" in shown


def browse(page: str, folder: Path) -> str:
    """Return the page's elements after its scripts have run."""
    assert CHROMIUM is not None
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    flags += "--disable-component-update --disable-sync --window-size=1800,1200 --virtual-time-budget=20000 --dump-dom"
    command = [CHROMIUM, *flags.split(), f"--user-data-dir={folder / 'browser'}", page]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
