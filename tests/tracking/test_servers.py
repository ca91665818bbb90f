"""Tracking to a server that is down, that hangs, or that comes up; and the pages that it serves."""

import base64
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import psutil
import pytest

from harness import ui
from harness.data.synthetic.generate import render_scene
from harness.errors import HarnessError, InputError
from harness.tracking import resync, tracker
from harness.tracking.store import _client
from harness.tracking.view import compare_route, logged_model_route, model_route, view_route
from tests.chromium import CHROMIUM, page_elements
from tests.tracking.fake_run import PATIENCE, Folder, finish, make_record, stored_runs, wait_until

ROOT = Path(__file__).parents[2]


@dataclass
class Server:
    """``python -m harness.ui`` over a store that holds one study, ``shown``."""

    folder: Path
    port: int
    printed: dict[str, Any]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def experiment(self) -> Any:
        return _client(f"http://{self.address}").get_experiment_by_name("shown")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Server]:
    """One server for all tests of this file: it takes seconds to start."""
    folder, port = tmp_path_factory.mktemp("server"), free_port()
    shutil.copyfile(empty_store, folder / "mlflow.db")
    study = Folder(folder, "shown")
    sender = study.tracker()
    sender.start_study(study.study)
    study.run(sender, ("v1", "v2", "0000"), epochs=2)
    graded = replace(make_record("0042", 2, "complete"), search_ap={"mean": 0.4343}, ap={"mean": 0.4242})
    sender.trial(graded)
    study.weights("0000")
    sender.model("0000")
    sender.finish_study(finish(study.study))
    assert sender.close(PATIENCE) == 0
    command = [sys.executable, "-m", "harness.ui", "--runs", str(folder), "--port", str(port), "--json"]
    # The server stores artifacts in the current folder.
    process = subprocess.Popen(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process:
        try:
            text = ""
            while not text.endswith("\n}\n"):
                line = process.stdout.readline()
                assert line, f"the server ended: {text}"
                text += line
            yield Server(folder, port, json.loads(text))
        finally:
            process.send_signal(signal.SIGTERM)
    assert process.returncode == 0


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a tracker try again at once, and wait long for a server that shares the machine with other tests."""
    monkeypatch.setattr(tracker, "_FIRST_WAIT", 0.05)
    monkeypatch.setattr(tracker, "_LONGEST_WAIT", 0.05)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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


def test_a_server_that_is_down_costs_two_lines_and_no_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "_FIRST_WAIT", 10 * PATIENCE)
    monkeypatch.setattr(tracker, "_LONGEST_WAIT", 10 * PATIENCE)
    folder = Folder(tmp_path / "runs", "unreachable")
    sender = folder.tracker("http://127.0.0.1:1")
    sender.start_study(folder.study)
    folder.run(sender, ("v1", "v2"))
    wait_until(lambda: bool(folder.warnings))
    assert sender.close(PATIENCE) == 2
    assert not sender._thread.is_alive(), "closing ends the wait for the next attempt"
    assert len(folder.warnings) == 2
    assert folder.warnings[0].startswith("tracking at http://127.0.0.1:1 does not answer (Connection refused)")
    assert folder.warnings[1].startswith("tracking at http://127.0.0.1:1: 2 trials not sent yet; nothing is lost")


def test_a_server_that_hangs_does_not_delay_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", str(round(PATIENCE)))
    folder = Folder(tmp_path / "runs", "hanging")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = folder.tracker(f"http://127.0.0.1:{silent.getsockname()[1]}")
        sender.start_study(folder.study)
        folder.run(sender, ("v1",))
        silent.settimeout(PATIENCE)
        connection, _ = silent.accept()
        with connection:
            assert sender.close(timeout=0.1) == 1
            assert sender._thread.is_alive(), "the request is still waiting for an answer"
            assert "1 trial not sent yet" in folder.warnings[-1]
    sender._thread.join(PATIENCE)
    assert not sender._thread.is_alive()


@pytest.mark.server
def test_a_server_gets_the_best_student_as_a_registered_model(tmp_path: Path, server: Server) -> None:
    uri, folder = f"http://{server.address}", Folder(tmp_path / "runs", "registered")
    folder.weights("0000")
    sender = folder.tracker(uri)
    sender.start_study(folder.study)
    folder.run(sender, ("v1", "0000"), epochs=1)
    sender.model("0000")
    sender.finish_study(finish(folder.study))
    assert sender.close(PATIENCE) == 0
    assert not folder.warnings
    version = _client(uri).get_model_version_by_alias("registered", "best")
    assert version.run_id == folder.runs(uri)["0000"].info.run_id


@pytest.mark.server
@pytest.mark.usefixtures("soon")
def test_a_server_that_comes_up_gets_everything(tmp_path: Path, server: Server) -> None:
    port = free_port()
    uri = f"http://127.0.0.1:{port}"
    folder = Folder(tmp_path / "runs", "down-then-up")
    sender = folder.tracker(uri)
    sender.start_study(folder.study)
    folder.run(sender, ("v1",))
    (folder.path / "trials" / "v1" / "weights.safetensors").write_bytes(b"weights")
    sender.artifacts(None, [folder.path / "trials" / "v1" / "weights.safetensors"])
    wait_until(lambda: bool(folder.warnings))
    with gate(port, server.port):
        folder.run(sender, ("v2",))
        wait_until(lambda: "v2" in sender.links())
        assert sender.close(PATIENCE) == 0
        assert len(folder.warnings) == 1
        assert sender.url().startswith(f"{uri}/#/experiments/")
        assert {"v1", "v2", folder.name} == set(folder.runs(uri))
    # Down again: what this run trains waits for the next one.
    second = folder.tracker(uri)
    second.start_study(folder.study)
    folder.run(second, ("0000",))
    assert second.close() == 1
    finish(folder.study).save(folder.path)
    with gate(port, server.port):
        assert resync(folder.path, uri, timeout=PATIENCE) == 0
        runs = folder.runs(uri)
        assert set(runs) == {"v1", "v2", "0000", folder.name}
        for label in ("v1", "v2", "0000"):
            assert [step for step, _ in folder.history(runs[label], "loss/box", uri)] == [1, 2, 3, 4]
            assert runs[label].info.status == "FINISHED"
        files = {item.path for item in _client(uri).list_artifacts(runs[folder.name].info.run_id)}
        assert files == {"space.json", "study.json", "weights.safetensors"}
    assert not (tmp_path / "runs" / "mlartifacts").exists(), "a server keeps artifacts itself"


@pytest.mark.server
def test_no_secret_of_its_address_reaches_a_server(tmp_path: Path, server: Server) -> None:
    folder = Folder(tmp_path / "runs", "secret")
    uri = f"http://me:hunter2@{server.address}"
    sender = folder.tracker(uri)
    sender.start_study(folder.study)
    folder.run(sender, ("v1",))
    sender.finish_study(finish(folder.study))
    assert sender.close(PATIENCE) == 0
    assert set(folder.runs(uri)) == {"secret", "v1"}
    shown = [sender.url(), *sender.links().values(), *folder.warnings]
    assert shown[0].startswith(f"http://{server.address}/#/experiments/")
    assert "hunter2" not in " ".join(shown)
    files = [path for root in (tmp_path, server.folder) for path in root.rglob("*") if path.is_file()]
    assert {"tracking.json", "mlflow.db"} <= {path.name for path in files}
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


# The pages.


@pytest.mark.server
def test_ui_prints_the_page_of_every_study(server: Server) -> None:
    experiment = server.experiment
    assert server.printed["url"] == f"http://{server.address}"
    assert server.printed["experiments"]["shown"] == f"http://{server.address}/{view_route(experiment.experiment_id)}"
    view = json.loads(experiment.tags["mlflow.sharedViewState.compare"])
    assert view["orderByKey"] == "metrics.`ap_search`"


@pytest.mark.server
def test_the_server_does_not_outlive_a_killed_ui(tmp_path: Path, empty_store: Path) -> None:
    shutil.copyfile(empty_store, tmp_path / "mlflow.db")
    command = [sys.executable, "-m", "harness.ui", "--runs", str(tmp_path), "--port", str(free_port()), "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "{\n"
        started = psutil.Process(process.pid).children(recursive=True)
        assert any("mlflow" in " ".join(child.cmdline()) for child in started)
        process.kill()
    _, alive = psutil.wait_procs(started, PATIENCE)
    for orphan in alive:
        orphan.kill()
    assert alive == []


def test_ui_refuses_what_it_cannot_show(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no study was tracked there yet"):
        ui.main(["--runs", str(tmp_path)])
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:5000 is an MLflow server already"):
        ui.main(["--tracking-uri", "http://me:hunter2@127.0.0.1:5000"])
    sqlite3.connect(tmp_path / "mlflow.db").close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match=f"--port {port} cannot be used"):
            ui.main(["--runs", str(tmp_path), "--port", str(port)])
    with pytest.raises(InputError, match="between 1 and 65535"):
        ui.main(["--runs", str(tmp_path), "--port", "70000"])


def test_ui_says_why_its_server_did_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "python"
    broken.write_text('#!/bin/sh\necho "cannot open $MLFLOW_BACKEND_STORE_URI"\n', encoding="utf-8")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    uri = "postgresql://me:hunter2@127.0.0.1:1/db"
    told = r"did not start \(cannot open postgresql://me:\*\*\*@127\.0\.0\.1:1/db\)"
    with pytest.raises(HarnessError, match=told):
        ui.main(["--tracking-uri", uri, "--port", str(free_port())])


in_a_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no chromium found: apt-get install chromium to see the pages tested"
)


@pytest.mark.browser
@pytest.mark.server
@in_a_browser
def test_browser_shows_the_trials_side_by_side(server: Server, tmp_path: Path) -> None:
    shown = page_elements(server.printed["experiments"]["shown"], tmp_path)
    for name in ("v1", "v2", "0000", "0042"):
        assert f">{name}</" in shown
    for column in ("ap_search", "ap_val", "params", "fps", "role"):
        assert f">{column}</" in shown
    for value in ("0.4343", "0.4242", "256148"):
        assert value in shown


@pytest.mark.browser
@pytest.mark.server
@in_a_browser
def test_browser_compares_chosen_runs_by_ap(server: Server, tmp_path: Path) -> None:
    experiment, runs = server.experiment, stored_runs(f"http://{server.address}", "shown")
    route = compare_route(experiment.experiment_id, [runs[name].info.run_id for name in ("0000", "v1", "v2")])
    shown = page_elements(f"http://{server.address}/{route}", tmp_path)
    assert "Comparing 3 Runs from 1 Experiment" in shown
    axes = re.findall(r'class="axis-title"[^>]*data-unformatted="([^"]+)"', shown)
    assert axes[-1] == "ap_search", "after the parameters"


@pytest.mark.browser
@pytest.mark.server
@in_a_browser
def test_browser_shows_the_model_of_a_study(server: Server, tmp_path: Path) -> None:
    base = f"http://{server.address}"
    shown = page_elements(f"{base}/{model_route('shown')}", tmp_path)
    for text in ("The best student of a study", "@&nbsp;best", "Version 1"):
        assert text in shown
    [model] = _client(base).search_logged_models([server.experiment.experiment_id])
    shown = page_elements(f"{base}/{logged_model_route(model.experiment_id, model.model_id)}", tmp_path)
    for text in ("0000", "ap_search", "0.8041", "synthetic-search", "neck.channels", ">shown</"):
        assert text in shown


@pytest.mark.server
def test_a_served_model_answers_with_faces(server: Server, tmp_path: Path) -> None:
    """Loaded where this project cannot be imported, as MLflow's own command serves it."""
    port = free_port()
    where = ["--model-uri", "models:/shown@best", "--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    # The command starts others by name, as in an activated environment.
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment |= {"MLFLOW_TRACKING_URI": f"http://{server.address}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    log = (tmp_path / "log").open("wb")
    command = [sys.executable, "-P", "-m", "mlflow", "models", "serve", *where]
    with log, subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log) as process:
        try:
            wait_until(lambda: process.poll() is not None or ask(port, "ping")[0] == 200)
            assert process.poll() is None, (tmp_path / "log").read_text(encoding="utf-8")
            picture = base64.b64encode(cv2.imencode(".png", render_scene(0, "val", 0, 96).image)[1].tobytes()).decode()
            rows: dict[str, Any] = {
                "dataframe_split": {"columns": ["image"], "data": [[picture]]},
                "params": {"score": 0.0},
            }
            status, answered = ask(port, "invocations", rows)
            assert status == 200, answered
            [answer] = json.loads(answered)["predictions"]
            assert set(answer["faces"][0]) == {"box", "score", "landmarks"}
            rows["dataframe_split"]["data"] = [[base64.b64encode(b"no picture").decode()]]
            status, answered = ask(port, "invocations", rows)
            assert (status, b"picture 0 is no image" in answered) == (400, True), answered
        finally:
            with suppress(psutil.NoSuchProcess):
                for child in psutil.Process(process.pid).children(recursive=True):
                    child.terminate()
            process.terminate()


def ask(port: int, page: str, data: Any = None) -> tuple[int, bytes]:
    """Return a server's status and answer; status 0 while there is no server."""
    content = None if data is None else json.dumps(data).encode()
    address = f"http://127.0.0.1:{port}/{page}"
    request = urllib.request.Request(address, data=content, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""
