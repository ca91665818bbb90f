"""The teacher: trained once, found again, refused where it is another network."""

import json
import multiprocessing
import os
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.names import load_study
from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord
from harness.core.training import TrainConfig
from harness.data import load_split
from harness.errors import DataError, InputError
from harness.models.builder import build
from harness.models.weights import load_weights, read_label, read_tensors, save_weights
from harness.search.resources import Resources
from harness.study import main as study
from harness.teacher import main
from harness.training.checkpoint import CHECKPOINT
from harness.training.job import PREDICTIONS
from harness.training.shipped import find_shipped
from harness.training.teacher import Teacher, ensure_teacher, find_teacher, recipe
from tests.toy import SEED, THREADS

pytestmark = pytest.mark.trains
teach = partial(ensure_teacher, threads=THREADS)
SAME = ["--threads", str(THREADS), "--device", "cpu"]

STUDY = StudyConfig(
    name="tiny",
    description="a handful of scenes",
    space="none",
    data=DataConfig(size=64, train_images=16, search_images=8, val_images=8),
    teacher=TrainConfig(epochs=2, batch=8, lr=2e-3),
    evaluation=EvalConfig(max_detections=50),
    seed=SEED,
)


SHORT, PATIENT = replace(STUDY.teacher, epochs=1), replace(STUDY.teacher, patience=2)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    (runs / "cache").symlink_to(cache)
    return runs


def test_a_teacher_is_trained_once_and_then_found(runs: Path) -> None:
    heard: list[tuple[str, int, int]] = []
    teacher = teach(STUDY, runs, progress=lambda *what: heard.append(what))
    record = teacher.record
    assert (record.label, record.role, record.state) == ("v1", "teacher", "complete")
    assert (record.params, sum(record.parts.values())) == (487_103, 487_103)
    assert len(record.epochs) == 2
    assert set(record.ap) == {"easy", "medium", "hard", "mean"}
    assert record.protocol["images"]
    assert record.size_mb == pytest.approx(teacher.path.stat().st_size / 1e6)
    *steps, last = [stage for stage in heard if stage[0].startswith("v1 teacher")]
    assert [(done, total) for _, done, total in steps] == [(step, 4) for step in range(1, 5)]
    assert last[0].startswith("v1 teacher, epoch 2 of 2, AP "), "the last epoch's AP is known after its last step"
    assert last[1:] == (4, 4)
    load_weights(build(ARCHS["v1"]), teacher.path)
    folder = teacher.path.parent
    assert (folder / PREDICTIONS).exists()
    assert not (folder / CHECKPOINT).exists()

    heard.clear()
    stamp = teacher.path.stat().st_mtime_ns
    again = teach(STUDY, runs, progress=lambda *what: heard.append(what))
    assert again == teacher
    assert again.path.stat().st_mtime_ns == stamp
    assert not [what for what, _, _ in heard if what.startswith("v1 teacher")]


def test_another_schedule_seed_or_backbone_is_another_teacher(runs: Path, tmp_path: Path) -> None:
    first = teach(STUDY, runs).path
    start = tmp_path / "start.safetensors"
    save_weights(build(ARCHS["v2"]), start)
    others = [
        teach(replace(STUDY, teacher=SHORT), runs).path,
        teach(replace(STUDY, teacher=SHORT, seed=SEED + 1), runs).path,
        teach(replace(STUDY, teacher=SHORT), runs, init_backbone=start).path,
    ]
    assert len({first, *others}) == 4
    renamed = replace(STUDY, name="other", description="the students do not matter", trials=3)
    assert teach(renamed, runs).path == first


def killed_in_epoch_two(runs: Path) -> None:
    def progress(what: str, done: int, _: int) -> None:
        if what.startswith("v1 teacher") and done == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    teach(STUDY, runs, progress=progress)


def test_a_killed_teacher_resumes(runs: Path, cache: Path, tmp_path: Path) -> None:
    whole = teach(STUDY, runs)
    (tmp_path / "cache").symlink_to(cache)
    process = multiprocessing.get_context("spawn").Process(target=killed_in_epoch_two, args=(tmp_path,))
    process.start()
    process.join(120)
    assert process.exitcode == -signal.SIGKILL
    (folder,) = (tmp_path / "teachers").iterdir()
    assert TrialRecord.load(folder).state == "running"
    heard: list[int] = []
    resumed = teach(STUDY, tmp_path, progress=lambda _, done, __: heard.append(done))
    assert heard == [3, 4, 4]
    assert (resumed.record.ap, resumed.record.search_ap) == (whole.record.ap, whole.record.search_ap)
    assert resumed.path.read_bytes() == whole.path.read_bytes()


def test_given_weights_are_evaluated_and_kept(runs: Path) -> None:
    trained = teach(STUDY, runs)
    given = teach(STUDY, runs, str(trained.path))
    assert given.path != trained.path
    assert given.path.read_bytes() == trained.path.read_bytes()
    assert given.record.ap == trained.record.ap
    assert given.record.epochs == []
    assert teach(STUDY, runs, str(trained.path)) == given


def test_a_published_teacher_is_read_instead_of_trained(
    runs: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.training.shipped.FOLDER", tmp_path / "weights")
    monkeypatch.setattr("harness.teacher.load_study", lambda _: STUDY)
    assert main(["--study", "tiny", "--runs", str(runs), *SAME, "--publish", "tiny", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["published"] == str(tmp_path / "weights" / "tiny.safetensors")
    trained = teach(STUDY, runs, shipped=False)
    assert read_label(tmp_path / "weights" / "tiny.safetensors")["command"] == (
        "python -m harness.teacher --study tiny --publish tiny"
    )
    (tmp_path / "cache").symlink_to(cache)
    heard: list[str] = []
    read = teach(STUDY, tmp_path, progress=lambda what, *_: heard.append(what))
    assert not [what for what in heard if "teacher" in what]
    for name, value in read_tensors(trained.path).items():
        assert torch.equal(read_tensors(read.path)[name], value), name
    assert (read.record.ap, read.record.search_ap) == (trained.record.ap, trained.record.search_ap)
    assert (read.record.train, read.record.provenance) == (trained.record.train, trained.record.provenance)
    assert [epoch["ap"]["mean"] for epoch in read.record.epochs] == pytest.approx(
        [epoch["ap"]["mean"] for epoch in trained.record.epochs], rel=1e-3
    )
    assert read.record.read_from == f"{tmp_path.name}/weights/tiny.safetensors"

    graded_otherwise = replace(STUDY, data=replace(STUDY.data, val_images=9, search_images=7))
    assert teach(graded_otherwise, tmp_path).record.read_from
    assert [epoch["ap"] for epoch in teach(graded_otherwise, tmp_path).record.epochs] == [{}, {}]
    others = [replace(STUDY, seed=SEED + 1), *(replace(STUDY, teacher=one) for one in (SHORT, PATIENT))]
    assert not any(teach(other, tmp_path).record.read_from for other in others)


@pytest.mark.slow
def test_the_teacher_of_the_default_study_comes_with_the_harness(cache: Path) -> None:
    """Otherwise ``make study`` trains it first, and takes longer than ten minutes."""
    study = load_study("default")
    faces = {split: load_split(study.data, split, cache) for split in ("train", "search")}
    found = find_shipped(recipe(study, ARCHS["v1"], faces["train"], None), faces["search"].digest)
    assert found is not None
    assert len(found.epochs) == study.teacher.epochs
    assert found.epochs[-1]["ap"]["mean"] > 0.5
    load_weights(build(ARCHS["v1"]), found.path)


@pytest.mark.parametrize("options", [["--data", "photographs"], ["--teacher", "v1.safetensors"], ["--publish", "a/b"]])
def test_only_teachers_of_scenes_are_published(options: list[str]) -> None:
    with pytest.raises(InputError, match="--publish"):
        main(["--publish", "mine", *options])


def test_another_architecture_teaches_under_its_own_name(runs: Path, tmp_path: Path) -> None:
    save_weights(build(ARCHS["v2"]), tmp_path / "v2.safetensors")
    teacher = teach(STUDY, runs, f"v2:{tmp_path / 'v2.safetensors'}")
    assert (teacher.arch, teacher.record.label, teacher.record.params) == (ARCHS["v2"], "v2", 256_156)


def test_a_teacher_is_named_by_its_weights_or_with_its_architecture(tmp_path: Path) -> None:
    assert find_teacher("auto") == ("v1", None)
    assert find_teacher("v1.safetensors") == ("v1", Path("v1.safetensors"))
    assert find_teacher("featherface:a/b.pth") == ("featherface", Path("a/b.pth"))
    odd = tmp_path / "odd:name.pth"
    odd.touch()
    assert find_teacher(str(odd)) == ("v1", odd)
    with pytest.raises(InputError, match=r"unknown arch 'fetherface'; did you mean 'featherface'"):
        find_teacher("fetherface:weights.pth")


def test_weights_of_another_architecture_are_refused_before_anything_starts(tmp_path: Path) -> None:
    save_weights(build(ARCHS["v2"]), tmp_path / "v2.safetensors")
    with pytest.raises(
        InputError, match=r"the teacher must be 'v1' with 487,103 parameters: .*v2.safetensors does not"
    ):
        teach(STUDY, tmp_path / "runs", str(tmp_path / "v2.safetensors"))
    with pytest.raises(InputError, match=r"no weights file .*none.pth"):
        teach(STUDY, tmp_path / "runs", str(tmp_path / "none.pth"))
    with pytest.raises(InputError, match=r"no weights file .*none.pth"):
        teach(STUDY, tmp_path / "runs", init_backbone=tmp_path / "none.pth")
    with pytest.raises(InputError, match="unknown device 'abacus'"):
        teach(STUDY, tmp_path / "runs", device="abacus")
    assert not (tmp_path / "runs").exists()


def test_a_broken_teacher_file_is_named(tmp_path: Path) -> None:
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(DataError, match=r"list.pt holds no state dict"):
        teach(STUDY, tmp_path / "runs", str(tmp_path / "list.pt"))


def test_the_command_prints_one_json_object(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.teacher.load_study", lambda _: STUDY)
    assert main(["--study", "tiny", "--runs", str(runs), *SAME, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert Path(printed["path"]).exists()
    assert printed["params"] == 487_103
    assert printed["state"] == "complete"
    picture = Path(printed["curve"])
    assert picture.parent == Path(printed["path"]).parent
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_teacher_of_another_schedule_is_given_to_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--study", "quick", "--size", "64", "--train-images", "16", "--val-images", "8"]
    options += ["--runs", str(tmp_path)]
    assert main([*options, "--threads", "1", "--epochs", "1"]) == 0
    printed = capsys.readouterr().out.splitlines()
    path = Path(printed[1])
    assert printed[-1] == f"its schedule differs from that of study 'quick': pass it with --teacher {path}"

    found: list[Teacher] = []

    def only_the_teacher(config: StudyConfig, resources: Resources, _: object) -> Path:
        found.append(teach(config, resources.runs, resources.teacher))
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.search.run.run_study", only_the_teacher)
    with pytest.raises(KeyboardInterrupt):
        study([*options, "--device", "cpu", "--teacher", str(path)])
    (teacher,) = found
    assert teacher.path.read_bytes() == path.read_bytes()
    assert teacher.record.state == "complete"
    assert teacher.record.epochs == [], "it was evaluated, not trained"


def test_the_study_finds_a_teacher_of_its_own_schedule(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.teacher.load_study", lambda _: STUDY)
    assert main(["--study", "tiny", "--epochs", str(STUDY.teacher.epochs), "--runs", str(runs), *SAME]) == 0
    printed = capsys.readouterr().out
    assert str(teach(STUDY, runs).path) in printed.splitlines()
    assert "--teacher" not in printed


def test_the_command_refuses_in_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="threads must be at least 1"):
        main(["--runs", str(tmp_path), "--threads", "0"])
    with pytest.raises(InputError, match="--runs: /proc/nowhere is not a writable folder"):
        main(["--runs", "/proc/nowhere", "--study", "quick"])
    with pytest.raises(InputError, match="unknown study 'nowhere'"):
        main(["--study", "nowhere", "--runs", str(tmp_path)])
