"""Tracking to a server that is down, that hangs, or that comes up; and the pages that it serves."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness import ui
from harness.errors import HarnessError, InputError
from harness.tracking import resync, tracker
from harness.tracking.store import _client
from harness.tracking.view import view_route
from tests.tracking.fake_run import PATIENCE, Folder, finish, make_record, wait_until

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@dataclass
class Server:
    """``python -m harness.ui`` over a store that holds one study, ``shown``."""

    folder: Path
    port: int
    printed: dict[str, Any]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


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
    experiment = _client(f"http://{server.address}").get_experiment_by_name("shown")
    assert experiment is not None
    assert server.printed["url"] == f"http://{server.address}"
    assert server.printed["experiments"]["shown"] == f"http://{server.address}/{view_route(experiment.experiment_id)}"
    view = json.loads(experiment.tags["mlflow.sharedViewState.compare"])
    assert view["orderByKey"] == "metrics.`search_ap_mean`"


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


@pytest.mark.browser
@pytest.mark.server
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium found: apt-get install chromium to see the pages tested")
def test_browser_shows_the_trials_side_by_side(server: Server, tmp_path: Path) -> None:
    shown = browse(server.printed["experiments"]["shown"], tmp_path)
    for name in ("v1", "v2", "0000", "0042"):
        assert f">{name}</" in shown
    for column in ("search_ap_mean", "ap_mean", "params", "fps", "role"):
        assert f">{column}</" in shown
    for value in ("0.4343", "0.4242", "256148"):
        assert value in shown


def browse(page: str, folder: Path) -> str:
    """Return the page's elements after its scripts have run."""
    assert CHROMIUM is not None
    flags = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    flags += "--disable-component-update --disable-sync --window-size=1800,1200 --virtual-time-budget=20000 --dump-dom"
    command = [CHROMIUM, *flags.split(), f"--user-data-dir={folder / 'browser'}", page]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE).stdout
