"""``python -m benchmarks.tabular``: what is trained, resumption at every point, and the table that comes of it."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

import benchmarks.tabular.__main__ as command
import benchmarks.tabular.protocol as protocols
from benchmarks.tabular import graded, make, prepared, rows
from benchmarks.tabular.graded import Graded, train_graded
from benchmarks.tabular.make import Maker
from benchmarks.tabular.protocol import FOLDER, drawn, portable, protocol
from harness import cli
from harness.core.arch import ARCHS
from harness.core.names import load_space, load_study
from harness.core.protocol import DataConfig, DistillConfig, EvalConfig, TrainConfig
from harness.core.record import TrialRecord
from harness.core.sealed import read_sealed, write_sealed
from harness.core.table import TABLE, Table
from harness.counting import SpaceCounts
from harness.errors import DataError, HarnessError, NonFiniteLossError
from harness.models.builder import build
from harness.models.weights import load_weights, save_weights, state_digest
from harness.search.candidates import identity
from harness.search.pool import Event
from harness.search.progress import Board, Progress
from harness.search.resources import Resources
from harness.search.speeds import Stopwatch
from harness.training.grade import val_ap
from harness.training.job import WEIGHTS, Job, TrainResult
from harness.training.loop import train
from harness.training.teacher import Teacher
from tests.data.tiny_widerface import TRAIN, write_retinaface
from tests.toy import SEED, THREADS

EPOCHS = 2
COMMAND = "python -m benchmarks.tabular --quick"


class Shown(Progress):
    """Progress that is remembered."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.stages: list[tuple[str, int, int]] = []

    def stage(self, what: str, done: int, total: int) -> None:
        assert 0 <= done <= total, what
        self.stages.append((what, done, total))

    def board(self, board: Board) -> None:  # noqa: ARG002
        raise AssertionError("a study shows its search")

    def line(self, text: str) -> None:
        self.lines.append(text)


@dataclass
class Disk:
    """What outlives an interruption: checkpoints. And what happens: an event number at which Ctrl-C is pressed."""

    checkpoints: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    trained: list[tuple[str, int]] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    fail: dict[tuple[str, int], Exception | str] = field(default_factory=dict)
    interrupt: int | None = None


class Workers:
    """Workers in this process, without training; each ``wait`` gets one job to its next event."""

    def __init__(self, disk: Disk, count: int = 2) -> None:
        self._disk = disk
        self._count = count
        self._jobs: dict[str, Iterator[Event]] = {}
        self._waiting: set[str] = set()
        self._draw = random.Random(0)
        self._events = 0

    def ready(self) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def idle(self) -> int:
        return self._count - len(self._jobs)

    def start(self, label: str, job: Graded) -> None:
        assert self.idle
        self._disk.started.append(label)
        self._jobs[label] = self._run(label, job)

    def answer(self, label: str, go_on: bool) -> None:
        assert go_on
        self._waiting.remove(label)

    def wait(self, timeout: float | None = None) -> list[Event]:  # noqa: ARG002
        if self._events == self._disk.interrupt:
            raise KeyboardInterrupt
        self._events += 1
        label = self._draw.choice(sorted(set(self._jobs) - self._waiting))
        event = next(self._jobs[label])
        if event.kind == "epoch":
            self._waiting.add(label)
        else:
            del self._jobs[label]
        return [event]

    def _run(self, label: str, graded: Graded) -> Iterator[Event]:
        history = self._disk.checkpoints.setdefault(label, [])
        assert len(graded.known) <= len(history) <= len(graded.known) + 1
        for epoch in range(1, EPOCHS + 1):
            failure = self._disk.fail.pop((label, epoch), None)
            if isinstance(failure, NonFiniteLossError):
                yield Event("failed", label, str(failure))
                return
            if isinstance(failure, HarnessError):
                yield Event("fatal", label, failure)
                return
            if failure is not None:
                yield Event(str(failure), label, "its process was killed", "Traceback" if failure == "failed" else "")
                return
            if epoch > len(history):
                self._disk.trained.append((label, epoch))
                history.append(_epoch(label, epoch))
            yield Event("epoch", label, {**history[epoch - 1], "val": _ap(label, epoch, "val")})
        (graded.job.folder / WEIGHTS).touch()
        yield Event("result", label, TrainResult("complete", history[-1]["ap"], history, seconds={"train": 1.0}))


def _ap(label: str, epoch: int, split: str) -> dict[str, float | None]:
    mean = random.Random(f"{label} {epoch} {split}").random()
    return {"easy": mean, "medium": mean / 2, "hard": None if split == "val" else mean / 3, "mean": mean}


def _epoch(label: str, epoch: int) -> dict[str, Any]:
    losses = {"box": 1.23456789 / epoch, "total": 3.0}
    return {"epoch": epoch, "losses": losses, "ap": _ap(label, epoch, "search"), "lr": 1e-3, "seconds": 1.23456}


@pytest.fixture
def runs(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs, where the teacher has random weights and no process is started."""
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "cache").symlink_to(cache)
    path = tmp_path / "v1.safetensors"
    with torch.random.fork_rng():
        save_weights(build(ARCHS["v1"]), path)
    record = TrialRecord("v1", "teacher", params=487_103, search_ap=_ap("v1", 1, "search"), ap=_ap("v1", 1, "val"))
    monkeypatch.setattr(prepared, "ensure_teacher", lambda *_, **__: Teacher(path, ARCHS["v1"], record))
    return runs


def resources(runs: Path) -> Resources:
    return Resources(runs, workers=1, threads=1, tracking_uri="none")


def made(
    runs: Path,
    disk: Disk,
    monkeypatch: pytest.MonkeyPatch,
    configurations: int = 2,
    seen: Callable[[Path], None] = lambda _: None,
) -> tuple[Path, Shown]:
    """Make a table, or continue it, and return its file; ``seen`` is called whenever it was written."""
    monkeypatch.setattr(make, "Processes", lambda *_: Workers(disk))
    shown, out = Shown(), runs / "table.json"
    maker = Maker(protocol("quick", configurations, 2), resources(runs), shown, COMMAND)
    write = maker.write

    def written(path: Path) -> None:
        write(path)
        seen(path)

    monkeypatch.setattr(maker, "write", written)
    with maker.opened():
        maker.train(out)
    return out, shown


class TestTable:
    @pytest.fixture
    def table(self, runs: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
        return Table.load(made(runs, Disk(), monkeypatch)[0])

    def test_every_network_has_its_trainings(self, table: Table) -> None:
        assert [network.label for network in table.networks] == ["0000", "0001", "v2"]
        assert table.complete
        assert table.wanted == sum(len(network.trainings) for network in table.networks) == 6
        seeds = {tuple(one.seed for one in network.trainings) for network in table.networks}
        assert len(seeds) == 1, "all networks have the same seeds"
        assert len(set(seeds.pop())) == 2
        assert table.epochs == EPOCHS

    def test_networks_are_those_of_their_configurations(self, table: Table) -> None:
        space = load_space(table.space)
        counts = SpaceCounts(space)
        assert table.space_digest == space.digest()
        for network in table.networks:
            space.check(network.configuration)
            assert network.arch == space.arch(network.configuration).to_dict()
            assert network.params == counts.total(network.configuration) == sum(network.parts.values())
            assert network.feasible == counts.is_feasible(network.configuration, table.budget)

    def test_v2_is_marked_as_over_the_budget(self, table: Table) -> None:
        assert [network.feasible for network in table.networks] == [True, True, False]
        assert table.networks[-1].params == table.budget.max_params + 8
        assert table.networks[-1].arch == ARCHS["v2"].to_dict()

    def test_aps_are_those_of_every_epoch_on_both_splits(self, table: Table) -> None:
        for network in table.networks:
            for number, trained in enumerate(network.trainings, start=1):
                label = network.label if number == 1 else f"{network.label}-s{number}"
                for split, found in (("search", trained.search), ("val", trained.val)):
                    for name in ("easy", "medium", "hard", "mean"):
                        values = [_ap(label, epoch, split)[name] for epoch in range(1, EPOCHS + 1)]
                        assert found[name] == [None if v is None else round(v, 5) for v in values]
                assert trained.losses == {"box": [1.235, 0.6173], "total": [3.0, 3.0]}
                assert trained.seconds == [1.23, 1.23]

    def test_what_it_depends_on_is_said(self, table: Table) -> None:
        assert set(table.images) == {"train", "search", "val"}
        assert table.search_protocol["digest"] != table.protocol["digest"]
        assert table.teacher["params"] == 487_103
        assert len(table.teacher["digest"]) > 8
        assert len(table.provenance) == 1
        assert table.command == COMMAND
        assert table.drawn == {"configurations": 2, "seed": 0, "feasible": 111_949}


@pytest.mark.parametrize("event", range(0, 18, 3))
def test_an_interrupted_run_resumes_to_the_same_table(
    runs: Path, event: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = made(runs, Disk(), monkeypatch)
    wanted = whole.read_bytes()
    (next(runs.glob("tabular-*"))).rename(tmp_path / "earlier")
    disk = Disk(interrupt=event)
    with pytest.raises(KeyboardInterrupt):
        made(runs, disk, monkeypatch)
    disk.interrupt = None
    again, _ = made(runs, disk, monkeypatch)
    assert again.read_bytes() == wanted
    assert len(disk.trained) == len(set(disk.trained)) == 6 * EPOCHS, "no epoch was trained twice"


def test_a_kill_between_checkpoint_and_record_loses_nothing(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint is one epoch ahead of the record."""
    disk = Disk(interrupt=3)
    with pytest.raises(KeyboardInterrupt):
        made(runs, disk, monkeypatch)
    path = next(path for path in runs.glob("tabular-*/trials/*/record.json") if json.loads(path.read_text())["epochs"])
    content = read_sealed(path)
    write_sealed(path, {**content, "epochs": content["epochs"][:-1]})
    disk.interrupt = None
    made(runs, disk, monkeypatch)
    assert len(disk.trained) == 6 * EPOCHS


def test_the_table_is_written_after_every_training(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[bool, int]] = []

    def seen(path: Path) -> None:
        table = Table.load(path)
        written.append((table.complete, sum(len(network.trainings) for network in table.networks)))

    _, shown = made(runs, Disk(), monkeypatch, seen=seen)
    assert written == [(count == 6, count) for count in range(1, 7)]
    assert shown.stages[-1] == ("6 trainings, epochs", 12, 12)
    assert len(shown.lines) == 6


def test_finished_trainings_are_read(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out, _ = made(runs, Disk(), monkeypatch)
    before = out.read_bytes()
    out.unlink()
    disk = Disk()
    made(runs, disk, monkeypatch)
    assert disk.started == []
    assert out.read_bytes() == before


def test_a_longer_table_continues_a_shorter_one(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    out, _ = made(runs, disk, monkeypatch)
    short = Table.load(out)
    disk.started.clear()
    made(runs, disk, monkeypatch, configurations=3)
    assert disk.started == ["0002", "0002-s2"]
    long = Table.load(out)
    assert [network for network in long.networks if network.label != "0002"] == list(short.networks)


def test_v2_is_trained_first_and_then_network_by_network(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk()
    made(runs, disk, monkeypatch)
    assert disk.started == ["v2", "v2-s2", "0000", "0000-s2", "0001", "0001-s2"]


def test_a_killed_training_continues_once(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(fail={("0000", 2): "killed"})
    out, shown = made(runs, disk, monkeypatch)
    assert Table.load(out).complete
    assert len(disk.trained) == 6 * EPOCHS
    assert "0000: its process was killed; it continues from its last epoch" in shown.lines


def test_a_training_that_is_killed_twice_ends_the_run(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(fail={("v2", 2): "killed"})
    run = Workers._run

    def again(self: Workers, label: str, graded: Graded) -> Iterator[Event]:
        disk.fail.setdefault(("v2", 2), "killed")
        return run(self, label, graded)

    monkeypatch.setattr(Workers, "_run", again)
    with pytest.raises(HarnessError, match="v2: its process was killed, for the second time"):
        made(runs, disk, monkeypatch)


def test_a_diverged_training_is_recorded_and_not_repeated(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(fail={("0001", 2): NonFiniteLossError("the loss is not finite")})
    out, _ = made(runs, disk, monkeypatch)
    table = Table.load(out)
    assert table.complete
    trained = next(network for network in table.networks if network.label == "0001").trainings[0]
    assert (trained.state, trained.reason, trained.aps) == ("failed", "the loss is not finite", None)
    assert len(trained.search["mean"]) == 1
    disk.started.clear()
    made(runs, disk, monkeypatch)
    assert disk.started == []


@pytest.mark.parametrize(
    ("failure", "words"), [("failed", "traceback in .*error.txt"), (DataError("images are gone"), "images are gone")]
)
def test_a_defect_or_a_broken_environment_ends_the_run(
    runs: Path, failure: Exception | str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(HarnessError, match=words):
        made(runs, Disk(fail={("0000", 1): failure}), monkeypatch)


def test_a_folder_of_another_training_is_refused(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made(runs, Disk(), monkeypatch)
    path = next(runs.glob("tabular-*/trials/0001/record.json"))
    write_sealed(path, {**read_sealed(path), "training": "0" * 12})
    with pytest.raises(DataError, match="0001 holds another training"):
        made(runs, Disk(), monkeypatch)


def test_latencies_are_measured_once_per_network(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[str] = []

    def measure(_: Stopwatch, record: TrialRecord) -> None:
        measured.append(record.label)
        record.speed = {"latency_ms": 12.3456, "ratio_to_v1": 1.23456, "fps": 81.0, "size": 64}

    monkeypatch.setattr(Stopwatch, "measure", measure)
    out, shown = made(runs, Disk(), monkeypatch)
    for _ in range(2):
        maker = Maker(protocol("quick", 2, 2), resources(runs), shown, COMMAND)
        with maker.opened():
            maker.measure(out)
    assert measured == ["0000", "0001", "v2"]
    for network in Table.load(out).networks:
        assert network.speed == {"latency_ms": 12.35, "ratio_to_v1": 1.235, "size": 64}


def test_configurations_are_drawn_from_what_fits_without_repetition() -> None:
    study = protocol("scenes", 200, 1)
    counts = SpaceCounts(load_space(study.space))
    found = list(drawn(counts, study))
    assert len({identity(configuration) for configuration in found}) == 200
    assert all(counts.is_feasible(configuration, study.budget) for configuration in found)
    assert list(drawn(counts, replace(study, trials=50))) == found[:50]
    few = replace(study, budget=replace(study.budget, max_params=228_000))
    assert len(list(drawn(counts, few))) == counts.feasible(few.budget) == 24


def test_a_study_of_photographs_needs_their_folder(tmp_path: Path) -> None:
    study = protocol("widerface_mini", 32, 1, tmp_path, 25)
    mini = load_study("widerface_mini")
    assert study.data == replace(mini.data, source=str(tmp_path))
    assert study.train == replace(mini.train, evaluate_every=25)
    assert (study.space, study.trials, study.seeds, study.references) == ("architectures", 32, 1, ("v2",))
    assert portable(study).data == replace(mini.data, source=FOLDER)
    scenes = protocol("scenes", 32, 1)
    assert portable(scenes) == scenes


def test_an_epoch_without_an_evaluation_has_no_ap_in_the_table() -> None:
    record = TrialRecord("0000", "candidate", state="complete")
    record.epochs = [{**_epoch("0000", 1), "ap": {}, "val": {}}, {**_epoch("0000", 2), "val": _ap("0000", 2, "val")}]
    found = rows.trained(record)
    assert found.search["mean"] == [None, round(_ap("0000", 2, "search")["mean"] or 0, 5)]
    assert found.val["easy"][0] is None
    assert len(found.losses["total"]) == len(found.seconds) == 2
    assert found.aps == found.search["mean"][1:]


def test_the_base_of_the_space_is_v2() -> None:
    space = load_space("architectures")
    configuration = space.base_configuration()
    space.check(configuration)
    assert space.arch(configuration) == ARCHS["v2"]


def test_the_protocol_is_that_of_scenes_with_an_evaluation_after_every_epoch() -> None:
    scenes, study = load_study("scenes"), protocol("scenes", 128, 2)
    assert study.train == replace(scenes.train, evaluate_every=1)
    for name in ("data", "teacher", "distill", "evaluation", "budget", "speed", "seed"):
        assert getattr(study, name) == getattr(scenes, name)
    assert (study.train.epochs, study.trials, study.seeds) == (12, 128, 2)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--configurations", "0"], "--configurations must be at least 1, got 0"),
        (["--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--workers", "9999"], "need 9999 cores"),
        (["--threads", "0"], "--threads must be at least 1, got 0"),
        (["--evaluate-every", "0"], "--evaluate-every must be at least 1, got 0"),
        (["--study", "scenes"], "leave out --study"),
        (["--data", "photographs"], "study 'quick' trains on generated scenes: leave out --data"),
        (["--init-backbone", "none.pth"], "--init-backbone: there is no file none.pth"),
    ],
)
def test_bad_input_is_refused(
    tmp_path: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.run(command.main, ["--quick", "--runs", str(tmp_path / "runs"), *arguments])
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--study", "widerfac"], "did you mean 'widerface'"),
        (["--study", "widerface_mini"], "give the folder of a copy with --data"),
        (["--study", "widerface_mini", "--data", "none"], "--data: there is no folder none"),
    ],
)
def test_a_study_without_its_images_is_refused(
    tmp_path: Path, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.run(command.main, ["--runs", str(tmp_path / "runs"), *arguments])
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_the_table_is_where_the_simulation_looks_for_it() -> None:
    assert Path(__file__).parent.parent / TABLE == command.TABLE_HERE


def epochs_of(graded: Graded, stop: int = 0) -> list[dict[str, Any]]:
    """Train, up to epoch ``stop`` if it is given, and return what each epoch reported."""
    found: list[dict[str, Any]] = []

    def on_epoch(info: dict[str, Any]) -> bool:
        found.append(info)
        return bool(info["epoch"] != stop)

    train_graded(graded, on_epoch)
    return found


class TestTraining:
    """Real trainings of a few scenes."""

    pytestmark = pytest.mark.trains

    @pytest.fixture
    def job(self, tmp_path: Path, cache: Path) -> Job:
        teacher = tmp_path / "v1.safetensors"
        with torch.random.fork_rng():
            torch.manual_seed(1_007)
            save_weights(build(ARCHS["v1"]), teacher)
        return Job(
            label="v2",
            arch=ARCHS["v2"],
            seed=SEED + 3,
            train=TrainConfig(epochs=3, batch=8, lr=2e-3),
            data=DataConfig(size=64, train_images=16, search_images=8, val_images=8),
            evaluation=EvalConfig(max_detections=50),
            folder=tmp_path / "v2",
            cache=cache,
            distill=DistillConfig(),
            teacher=teacher,
            teacher_arch=ARCHS["v1"],
            init_backbone=teacher,
            threads=THREADS,
        )

    def test_every_epoch_has_an_ap_and_the_training_is_the_same(self, job: Job) -> None:
        found = epochs_of(Graded(job))
        plain = replace(job, folder=job.folder.with_name("plain"))
        aps: list[dict[str, Any]] = []

        def on_epoch(info: dict[str, Any]) -> bool:
            aps.append(info["ap"])
            return True

        train(plain, on_epoch)
        assert (job.folder / WEIGHTS).read_bytes() == (plain.folder / WEIGHTS).read_bytes()
        assert [info["ap"] for info in found] == aps
        network = build(job.arch)
        load_weights(network, job.folder / WEIGHTS)
        assert found[-1]["val"] == val_ap(job, network)

    @pytest.fixture
    def by_weights(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Instead of an AP, which is near 0 after so few steps, the digest of the network that is evaluated."""
        monkeypatch.setattr(graded, "val_ap", lambda _, network: {"mean": state_digest(network)})

    @pytest.mark.usefixtures("by_weights")
    @pytest.mark.parametrize("ema", [0.0, 0.5])
    def test_the_network_of_the_epoch_is_evaluated(self, job: Job, ema: float) -> None:
        job = replace(job, train=replace(job.train, ema=ema))
        found = [info["val"]["mean"] for info in epochs_of(Graded(job))]
        network = build(job.arch)
        load_weights(network, job.folder / WEIGHTS)
        assert found[-1] == state_digest(network)
        assert len(set(found)) == len(found) == 3

    @pytest.mark.usefixtures("by_weights")
    def test_a_resumed_training_has_the_same_aps(self, job: Job) -> None:
        whole = [info["val"] for info in epochs_of(Graded(replace(job, folder=job.folder.with_name("whole"))))]
        parts = [info["val"] for info in epochs_of(Graded(job), 2)]
        assert parts == whole[:2]
        again = [info["val"] for info in epochs_of(Graded(job, tuple(parts[:1])))]
        assert again == whole, "the second AP is that of the checkpoint's network"

    def test_epochs_without_an_evaluation_have_no_ap(self, job: Job) -> None:
        job = replace(job, train=replace(job.train, evaluate_every=2))
        found = epochs_of(Graded(job))
        assert [bool(info["ap"]) for info in found] == [bool(info["val"]) for info in found] == [False, True, True]

    def test_an_ap_whose_network_is_gone_is_missed(self, job: Job) -> None:
        epochs_of(Graded(job), 2)
        with pytest.raises(DataError, match="has a network after 2 epochs, but no AP after 1"):
            train_graded(Graded(job), lambda _: True)


def test_the_table_of_photographs_names_no_folder(tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = write_retinaface(tmp_path / "photographs", TRAIN)
    data = DataConfig(source="widerface", size=64, train_images=0, search_images=1, val_images=0)
    mini = replace(load_study("widerface_mini"), data=data, train=TrainConfig(epochs=EPOCHS))
    monkeypatch.setattr(protocols, "load_study", lambda _: mini)
    monkeypatch.setattr(make, "Processes", lambda *_: Workers(Disk()))
    out = tmp_path / "table.json"
    arguments = ["--study", "widerface_mini", "--data", str(copy), "--configurations", "1", "--seeds", "1"]
    assert command.main([*arguments, "--evaluate-every", "2", "--runs", str(runs), "--out", str(out), "--json"]) == 0
    assert str(tmp_path) not in out.read_text(encoding="utf-8")
    table = Table.load(out)
    assert table.config.data.source == FOLDER
    assert table.command.endswith("--data PATH/TO/WIDERFACE --configurations 1 --seeds 1 --evaluate-every 2")


@pytest.mark.slow
@pytest.mark.trains
def test_the_whole_command(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "cache").symlink_to(cache)
    arguments = ["--quick", "--configurations", "1", "--seeds", "1", "--workers", "1", "--runs", str(tmp_path)]
    assert command.main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == {
        "complete": True,
        "networks": 2,
        "trainings": 2,
        "wanted": 2,
        "failed": 0,
        "measured": 0,
        "table": str(next(tmp_path.glob("tabular-*")) / "table.json"),
    }
    assert command.main([*arguments, "--measure"]) == 0
    assert "measured: 2" in capsys.readouterr().out
    table = Table.load(Path(answer["table"]))
    assert table.command == "python -m benchmarks.tabular --quick --configurations 1 --seeds 1"
    assert all(network.speed["ratio_to_v1"] > 0 for network in table.networks)
    assert {len(one.val["mean"]) for network in table.networks for one in network.trainings} == {2}
