"""Studies whose trials run in actors on a Ray cluster: two nodes on this machine."""

import io
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from rich.console import Console

from harness import cli
from harness.core.provenance import provenance
from harness.errors import HarnessError, InputError, NonFiniteLossError
from harness.search import run as search_run
from harness.search.cluster import Cluster, Share, joined
from harness.search.pool import Event, Pool
from harness.search.resources import Resources
from harness.search.run import run_study
from tests.search import planted
from tests.search.interrupted import KILLS
from tests.search.stub import QUICK, Stub, outcome
from tests.toy import STUDY, Toy, end, start

MISSING = "Ray is not installed: pip install '.[ray]'"
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # Loopback only; read when Ray is imported.
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": 64 * "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}

pytestmark = [pytest.mark.slow, pytest.mark.server]


def patiently(start: Callable[[], Any]) -> Any:
    """Start a node. Ray gives it half a minute, which a busy machine may exceed."""
    for _ in range(3):
        try:
            return start()
        except Exception as error:
            if "timed out during startup" not in str(error):
                raise
    return start()


@dataclass
class Nodes:
    """A cluster of one node with one core, and a second node as a test wants."""

    cluster: Any
    second: Any = None

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    @property
    def second_raylet(self) -> str:
        """The process of the second node, as its workers name it."""
        return str(self.second.all_processes["raylet"][0].process.pid) if self.second else "none"

    def add(self, num_cpus: int) -> None:
        """Put a new second node in the place of the one so far; it has a GPU, as Ray is told."""
        self.remove()
        self.second = patiently(lambda: self.cluster.add_node(num_cpus=num_cpus, num_gpus=1))

    def remove(self) -> None:
        """End the second node, as a loss of its machine does. Its workers might answer a last call without it."""
        if self.second is not None:
            workers = psutil.Process(int(self.second_raylet)).children(recursive=True)
            self.cluster.remove_node(self.second, allow_graceful=False)
            self.second = None
            _, alive = psutil.wait_procs(workers, timeout=60)
            assert not alive


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        pytest.importorskip("ray", reason=MISSING)
        from ray.cluster_utils import Cluster as Raylets

        head = {"num_cpus": 1, "include_dashboard": False}
        found = Nodes(patiently(lambda: Raylets(initialize_head=True, head_node_args=head)))
        yield found
        found.cluster.shutdown()


@dataclass
class Ran:
    """A study that ended: its folder, and the lines that were printed."""

    folder: Path
    lines: list[str]

    def epochs(self, label: str) -> list[int]:
        return [epoch for epoch, _ in planted.trained(self.folder / "trials" / label)]

    @property
    def nodes(self) -> set[str]:
        return {node for folder in (self.folder / "trials").iterdir() for _, node in planted.trained(folder)}


Study = Callable[..., Ran]


@pytest.fixture
def study(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Study:
    """Studies of 16 trials with planted APs, whose workers are real."""
    monkeypatch.setattr(search_run, "work", planted.work)

    def study(name: str, cluster: Cluster | None = None, kill: str = "") -> Ran:
        folder = stub.runs / name
        folder.mkdir()
        (folder / "kill").write_text(kill, encoding="utf-8")
        output = io.StringIO()
        resources = Resources(stub.runs, threads=1, tracking_uri="none", workers=2, cluster=cluster)
        progress = cli.Progress(console=Console(file=output, width=400))
        run_study(replace(QUICK, name=name, trials=16, pruner="median"), resources, progress)
        return Ran(folder, output.getvalue().splitlines())

    return study


def test_a_study_on_two_nodes_is_that_of_one_machine_whatever_dies(
    nodes: Nodes, study: Study, stub: Stub, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two actors are killed, and then the second node is lost while a training on it waits for an answer."""
    from harness.search.actors import Actors

    wanted = outcome(study("processes").folder)
    assert sum(label.isdigit() for label in wanted) == 16
    images = built(cache)
    assert images

    nodes.add(num_cpus=1)
    wait, epochs, lost = Actors.wait, list[str](), list[str]()

    def losing_a_node(self: Actors, timeout: float | None = None) -> list[Event]:
        events = wait(self, timeout)
        for event in events:
            if event.kind == "epoch":
                epochs.append(event.label)
                _, node = planted.trained(stub.runs / "actors" / "trials" / event.label)[-1]
                if len(epochs) > 10 and node == nodes.second_raylet:
                    lost.append(event.label)
                    nodes.remove()
        return events

    monkeypatch.setattr(Actors, "wait", losing_a_node)
    ran = study("actors", Cluster(nodes.address), kill="v2@1 0004@2")
    assert outcome(ran.folder) == wanted
    assert len(ran.nodes) == 2
    said = [line for line in ran.lines if "lost with its actor on node 127.0.0.1; it continues from its last" in line]
    assert len(lost) == 1
    assert {"v2", "0004", *lost} == {line.partition(":")[0] for line in said}
    for label in ("v2", "0004"):
        assert ran.epochs(label) == [1, 2], "no epoch is trained twice"
    assert built(cache).items() >= images.items(), "no node decodes images again"
    assert not (ran.folder / "cluster.mark").exists()


def built(cache: Path) -> dict[Path, tuple[int, int]]:
    """Return when each set of decoded images was made, and which file that is."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in cache.glob("*/meta.json")}


def work(job: str, on_epoch: Callable[[dict[str, Any]], bool]) -> Any:
    """Runs on a node."""
    if job == "diverge":
        raise NonFiniteLossError("the loss is not finite")
    if job == "lose the actor":
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    if job.endswith("stop"):
        for epoch in (1, 2, 3):
            if not on_epoch({"epoch": epoch}):
                if not Path(job).exists():
                    Path(job).touch()
                    os.kill(os.getppid(), signal.SIGKILL)
                    time.sleep(60)
                return f"stopped after {epoch}"
    if job == "be killed":
        os.kill(os.getpid(), signal.SIGKILL)
    answer = on_epoch({"epoch": 1})
    return answer, os.environ["CUDA_VISIBLE_DEVICES"], os.environ["OMP_NUM_THREADS"], torch.get_num_threads()


def test_a_pool_of_actors(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two trials share a GPU; what becomes of a job is told as by processes; a job that ends its actors is given up."""
    nodes.add(num_cpus=2)
    with joined(Cluster(nodes.address)):
        from harness.search import actors

        half = Share(1, 0.5)
        deadline = time.monotonic() + 60  # Ray takes seconds to notice that the node of another test is gone.
        while half.room() != 2 and time.monotonic() < deadline:
            time.sleep(0.2)
        assert half.room() == 2
        with pytest.raises(InputError, match=r"no node of the cluster has 9 CPUs and 0 GPUs for a trial \(there are "):
            Share(9, 0).room()
        said: list[str] = []
        pool = actors.Actors(work, 2, 1, half, tmp_path, provenance(), 64, said.append)
        pool.ready()
        said.clear()  # A busy machine takes its time.
        pool.start("a", "a")
        pool.start("b", "b")
        assert pool.idle == 0
        assert sorted((e.kind, e.label) for e in events(pool, 2)) == [("epoch", "a"), ("epoch", "b")]
        pool.answer("a", go_on=True)
        pool.answer("b", go_on=False)
        assert [(e.kind, e.content) for e in events(pool, 2)] == [
            ("result", (True, "0", "1", 1)),
            ("result", (False, "0", "1", 1)),
        ]
        pool.start("a", "diverge")
        pool.start("b", "be killed")
        diverged, killed = events(pool, 2)
        assert (diverged.kind, diverged.content) == ("failed", "the loss is not finite")
        assert (killed.kind, killed.content) == ("killed", "its process was killed by SIGKILL (perhaps out of memory)")
        assert said == []

        pool.start("a", str(tmp_path / "stop"))
        for epoch in (1, 2):
            assert [(e.kind, e.content) for e in events(pool, 1)] == [("epoch", {"epoch": epoch})]
            pool.answer("a", go_on=epoch < 2)
        assert [(e.kind, e.content) for e in events(pool, 1)] == [("result", "stopped after 2")]
        (tmp_path / "stop").unlink()
        lost = "a: lost with its actor on node 127.0.0.1; it continues from its last checkpoint"
        assert said == [lost]

        monkeypatch.setattr(actors, "MOST_LOSSES", 2)
        pool.start("a", "lose the actor")
        (given_up,) = events(pool, 1)
        assert given_up.kind == "fatal"
        assert str(given_up.content).startswith("a: its actor ended 2 times in one epoch (The actor died unexpectedly")
        assert said == [lost, lost]
        pool.close()
        assert not any(tmp_path.iterdir())

        other = replace(provenance(), versions=provenance().versions | {"torch": "1.0"})
        pool = actors.Actors(work, 1, 1, half, tmp_path, other, 64, said.append)
        with pytest.raises(HarnessError, match=r"node 127.0.0.1 has torch .*, not 1.0: all nodes need the versions"):
            pool.ready()
        pool.close()


def events(pool: Pool, count: int) -> list[Event]:
    found: list[Event] = []
    while len(found) < count:
        found += pool.wait()
    return sorted(found, key=lambda event: event.label)


@pytest.mark.trains
def test_real_trainings_in_a_cluster_that_the_command_starts(toy: Toy, cache: Path, tmp_path: Path) -> None:
    """A worker process is killed, and an actor; Ray listens on loopback only, and ends with the command."""
    pytest.importorskip("ray", reason=MISSING)
    (tmp_path / "cache").symlink_to(cache)
    arguments = [*STUDY, "--runs", str(tmp_path), "--engine", "ray", "--json"]
    process = start("tests.search.interrupted", arguments, **{KILLS: "0001@1 SIGKILL parent"})
    watched = psutil.Process(process.pid)
    heard: set[str] = set()
    seen: set[psutil.Process] = set()

    def watch() -> None:
        while process.poll() is None:
            with suppress(psutil.Error):
                for one in watched.children(recursive=True):
                    seen.add(one)
                    with suppress(psutil.Error):
                        heard.update(c.laddr.ip for c in one.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
            time.sleep(0.2)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code, output, errors = end(process)
    watcher.join()
    assert code == 0, errors
    assert json.loads(output)["trials"]["complete"] == 3
    assert "0001: lost with its actor on node 127.0.0.1; it continues from its last checkpoint" in errors
    assert outcome(tmp_path / "toy") == outcome(toy.folder)
    assert heard <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert len(heard) > 0
    assert not psutil.wait_procs(seen, timeout=30)[1]
