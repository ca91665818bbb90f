"""MLflow's server is killed, stands still, and comes back; the study goes on, and everything arrives once."""

import os
import random
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.faults.bench import Bench, Happened
from benchmarks.faults.study import ROOT, FaultError, pause
from harness.tracking import resync
from harness.tracking.store import _client


class Server:
    """``python -m harness.ui`` on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.uri = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "harness.ui", "--runs", str(self.folder), "--port", str(self.port), "--json"]
        self._process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        while (line := self._process.stdout.readline()) != "}\n":
            if not line:
                raise FaultError("MLflow's server does not start")

    def _all(self) -> list[psutil.Process]:
        assert self._process is not None
        return [*psutil.Process(self._process.pid).children(recursive=True), psutil.Process(self._process.pid)]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all its processes."""
        for process in self._all():
            process.send_signal(number)

    def kill(self) -> None:
        """Kill all its processes."""
        assert self._process is not None
        self.signal(signal.SIGKILL)
        self._process.communicate()


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run a server over a new store."""
    folder.mkdir()
    _client(f"sqlite:///{folder / 'mlflow.db'}").create_experiment("empty")
    server = Server(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()


def disturb(bench: Bench, rng: random.Random, most: int) -> Happened:
    """Kill or stop a study's tracking server at most ``most`` times."""
    with serving(bench.folder / f"server-{rng.random()}") as server:
        study = bench.study(tracking=server.uri)
        times, ended = 0, False
        while not ended:
            with study.running() as process:
                while times < most and pause(rng.uniform(0, bench.undisturbed.seconds / 2), process):
                    if times % 2:
                        server.signal(signal.SIGSTOP)
                        pause(rng.uniform(0.5, 4.0), process)
                        server.signal(signal.SIGCONT)
                    else:
                        server.kill()
                        pause(rng.uniform(0.0, 2.0), process)
                        server.start()
                    times += 1
                ended = study.wait(process)
        if resync(study.folder, server.uri, timeout=120):
            raise FaultError("trials do not arrive at the server that is back")
        client = _client(server.uri)
        experiment = client.get_experiment_by_name(study.name)
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
        sent = Counter(str(run.data.tags.get("label", "")) for run in runs)
        for run in runs:
            label = run.data.tags.get("label", "")
            steps = [point.step for point in client.get_metric_history(run.info.run_id, "loss/total")] if label else []
            if len(steps) != len(set(steps)):
                raise FaultError(f"the server holds an epoch of {label} twice: {steps}")
    missing = set(study.records()) - set(sent)
    if missing:
        raise FaultError(f"the server has no run of {', '.join(sorted(missing))}")
    return Happened(times, bench.compare(study, tracked=sent), (study,))
