"""The command from end to end, at toy size: what it leaves behind, and that no interruption changes what it finds."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import psutil
import pytest

from harness import cli
from harness.core.arch import ARCHS
from harness.core.names import load_space
from harness.core.protocol import Budget
from harness.core.record import TrialRecord, load_records
from harness.counting import SpaceCounts
from harness.errors import InputError
from harness.evaluate import main as evaluate
from harness.models.builder import build
from harness.models.weights import save_weights
from harness.search.storage import single_writer
from harness.study import main

STUDY = ["--study", "quick", "--trials", "5", "--pruner", "halving", "--name", "toy"]
STUDY += ["--tracking-uri", "none", "--device", "cpu"]
ONE, TWO = ["--workers", "1"], ["--workers", "2", "--threads", "1"]


def start(runs: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "harness.study", *STUDY, "--runs", str(runs), *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        # A background job of a shell ignores Ctrl-C, and so would everything that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    output, errors = process.communicate(timeout=400)
    return process.returncode, output, errors


def until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait for something to become true while the study runs."""
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def outcome(folder: Path) -> dict[str, Any]:
    """Return what must not depend on how a study was run."""
    return {
        r.label: (r.state, r.seed, r.configuration, r.ap, [(e["losses"], e["ap"]) for e in r.epochs], r.landmark)
        for r in load_records(folder)
    }


def under_way(folder: Path, state: str, epochs: int) -> bool:
    """Say whether a candidate is in this state with at least so many epochs."""
    return any(r.state == state and len(r.epochs) >= epochs for r in load_records(folder) if r.role == "candidate")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("search") / "runs"


@pytest.fixture(scope="module")
def finished(runs: Path) -> dict[str, Any]:
    """Run the study once, undisturbed, with two workers: its folder and what it printed."""
    code, output, errors = end(start(runs, *TWO, "--json"))
    assert code == 0, errors
    return {"folder": runs / "toy", "output": output, "errors": errors}


def test_json_is_all_that_is_printed(finished: dict[str, Any]) -> None:
    found = json.loads(finished["output"])
    assert found["name"] == "toy"
    assert sum(found["trials"][state] for state in ("complete", "pruned", "failed")) == 5
    assert (found["wasted"], found["repeated"], found["trials"]["failed"]) == (0, 0, 0)
    assert found["v1"]["params"] == 487_103
    assert found["v2"]["params"] == 256_156
    for name in ("v1", "v2", "best"):
        assert set(found[name]["ap"]) == {"easy", "medium", "hard", "mean"}
        assert found[name]["fps"] > 0
    assert Path(found["report"]).is_file()
    assert "Traceback" not in finished["errors"]


def test_every_candidate_fits_and_is_recorded_whole(finished: dict[str, Any]) -> None:
    space = load_space("v2_light")
    counts = SpaceCounts(space)
    candidates = [r for r in load_records(finished["folder"]) if r.role == "candidate"]
    assert [r.number for r in candidates] == [0, 1, 2, 3, 4]
    for record in candidates:
        space.check(record.configuration)
        assert record.params == counts.total(record.configuration) == sum(record.parts.values())
        assert record.params <= Budget().max_params
        assert set(record.seconds) >= {"train", "evaluate", "total"}
        assert record.seconds["total"] >= record.seconds["train"] + record.seconds["evaluate"]
        assert record.state in ("complete", "pruned")
        assert len(record.epochs) == (2 if record.state == "complete" else int(record.reason.split()[3]))
        assert bool(record.speed) == (record.state == "complete")
    assert any(record.state == "pruned" for record in candidates)


def test_the_manifest_says_what_ran(finished: dict[str, Any]) -> None:
    study = json.loads((finished["folder"] / "study.json").read_text())
    assert study["space_digest"] == load_space("v2_light").digest()
    assert study["space_feasible"] == SpaceCounts(load_space("v2_light")).feasible(Budget())
    assert study["data"]["val_images"] == 24
    assert study["proposals"]["uniform"] == 5
    assert 0 <= study["timing"]["overhead_share"] < 1
    assert study["best"] in {r.label for r in load_records(finished["folder"]) if r.state == "complete"}
    assert {r.protocol["digest"] for r in load_records(finished["folder"])} == {study["protocol"]["digest"]}
    with np.load(finished["folder"] / "examples.npz", allow_pickle=False) as examples:
        assert {f"found_{label}_0" for label in ("v1", "v2", study["best"])} <= set(examples)
        assert examples["image_0"].dtype == np.uint8
    assert all(study["versions"][name] for name in ("python", "torch", "optuna", "harness"))


def test_interrupted_killed_and_resumed_ends_as_if_undisturbed(finished: dict[str, Any], tmp_path: Path) -> None:
    """Ctrl-C in the first trials, SIGKILL of every process later, then one worker instead of two."""
    for kept in ("teachers", "cache"):
        shutil.copytree(finished["folder"].parent / kept, tmp_path / "runs" / kept)
    folder = tmp_path / "runs" / "toy"

    process = start(tmp_path / "runs", *TWO)
    until(lambda: under_way(folder, "running", epochs=1), process)
    os.killpg(process.pid, signal.SIGINT)
    code, _, errors = end(process)
    assert code == 1
    assert errors.splitlines()[-1] == "interrupted; the same command resumes"
    assert (folder / "report" / "report.md").is_file()

    process = start(tmp_path / "runs", *TWO)
    until(lambda: under_way(folder, "complete", 2) and under_way(folder, "running", 1), process)
    os.killpg(process.pid, signal.SIGKILL)
    end(process)
    weights = {r.label: (folder / "trials" / r.label / "weights.safetensors") for r in load_records(folder)}
    done = {label: path.stat().st_mtime_ns for label, path in weights.items() if path.exists()}

    code, _, errors = end(start(tmp_path / "runs", *ONE))
    assert code == 0, errors
    assert outcome(folder) == outcome(finished["folder"])
    complete = [r.label for r in load_records(folder) if r.role == "candidate" and r.label in done]
    assert complete
    for label in complete:
        assert weights[label].stat().st_mtime_ns == done[label]


def test_a_killed_worker_costs_its_trial_only(finished: dict[str, Any]) -> None:
    folder = finished["folder"].parent / "killed"
    process = start(folder.parent, *TWO, "--name", "killed", "--trials", "2")
    until(lambda: under_way(folder, "running", epochs=1), process)
    label = next(r.label for r in load_records(folder) if r.state == "running" and r.role == "candidate" and r.epochs)
    workers = [p for p in psutil.Process(process.pid).children() if "spawn_main" in " ".join(p.cmdline())]
    # Which worker has the trial: the one whose checkpoint folder it is cannot be seen, so both go.
    for worker in workers:
        worker.kill()
    code, _, errors = end(process)
    records = {r.label: r for r in load_records(folder)}
    assert records[label].state == "failed"
    assert records[label].reason == "its process was killed by SIGKILL (perhaps out of memory)"
    assert f"{label}: failed" in errors
    states = [r.state for r in records.values() if r.role == "candidate"]
    assert len(states) == 2
    assert code == (1 if states == ["failed", "failed"] else 0)


def test_more_trials_go_on_where_the_study_ended(finished: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    before = outcome(finished["folder"])
    with pytest.raises(InputError, match=r"made with train\.epochs 2, not 3: choose another --name"):
        main([*STUDY, "--runs", str(finished["folder"].parent), *ONE, "--epochs", "3"])
    assert main([*STUDY, "--runs", str(finished["folder"].parent), *ONE, "--trials", "6", "--sampler", "tpe"]) == 0
    after = outcome(finished["folder"])
    assert {label: after[label] for label in before} == before
    assert set(after) - set(before) == {"0005"}
    assert "report:" in capsys.readouterr().out
    study = json.loads((finished["folder"] / "study.json").read_text())
    assert main([*STUDY, "--runs", str(finished["folder"].parent), *ONE, "--trials", "2", "--sampler", "tpe"]) == 0
    again = json.loads((finished["folder"] / "study.json").read_text())
    assert (again["config"]["trials"], again["trials"]["wanted"]) == (6, 6), "what was made is not taken back"
    assert again["command"] == study["command"]


def test_a_trial_is_evaluated_by_its_name(finished: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    runs = str(finished["folder"].parent)
    assert evaluate(["--trial", "toy/v2", "--data", "synthetic", "--limit", "4", "--runs", runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["arch"], found["images"]) == ("toy/v2", 4)
    with pytest.raises(InputError, match=r"unknown trial of toy: '0099'"):
        evaluate(["--trial", "toy/99", "--data", "synthetic", "--runs", runs])
    with pytest.raises(InputError, match="drop --arch and --weights"):
        evaluate(["--trial", "toy/v2", "--arch", "v2", "--data", "synthetic", "--runs", runs])


def test_latency_as_an_objective_is_measured_before_a_trial_is_told(finished: dict[str, Any]) -> None:
    """The other worker waits meanwhile, so the times are those of a quiet machine."""
    runs = finished["folder"].parent
    options = ["--name", "front", "--trials", "3", "--objectives", "ap,params,latency"]
    assert main([*STUDY, "--runs", str(runs), *TWO, *options, "--pruner", "none"]) == 0
    trials = optuna.load_study(study_name="front", storage=f"sqlite:///{runs / 'front' / 'study.db'}").trials
    records = [r for r in load_records(runs / "front") if r.role == "candidate"]
    assert len(records) == 3
    for trial, record in zip(trials, records, strict=True):
        ap, ratio = record.ap["mean"], record.speed["ratio_to_v1"]
        assert trial.values == [ap, record.params, 1 / ratio]


def test_references_and_the_best_student_are_trained_with_several_seeds(finished: dict[str, Any]) -> None:
    runs = finished["folder"].parent
    options = ["--name", "seeds", "--trials", "2", "--epochs", "1", "--references", "v2,v2-alone"]
    assert main([*STUDY, "--runs", str(runs), *ONE, *options]) == 0
    first = outcome(runs / "seeds")
    assert main([*STUDY, "--runs", str(runs), *ONE, *options, "--seeds", "2"]) == 0
    after = outcome(runs / "seeds")
    assert {label: after[label] for label in first} == first, "more seeds leave what was trained as it is"
    study = json.loads((runs / "seeds" / "study.json").read_text())
    assert main([*STUDY, "--runs", str(runs), *ONE, *options[:6], "--references", "v2"]) == 0
    again = json.loads((runs / "seeds" / "study.json").read_text())
    assert (again["config"]["seeds"], again["config"]["references"]) == (2, ["v2", "v2-alone"]), "nothing is taken back"
    assert again["command"] == study["command"]
    records = {r.label: r for r in load_records(runs / "seeds")}
    best = json.loads((runs / "seeds" / "study.json").read_text())["best"]
    assert set(after) - set(first) == {"v2-s2", "v2-alone-s2", f"{best}-s2"}
    for name in ("v2", "v2-s2"):
        taught, alone = records[name], records[name.replace("v2", "v2-alone")]
        assert (taught.seed, taught.arch) == (alone.seed, alone.arch)
        assert taught.teacher["label"] == "v1"
        assert taught.distill["alpha"] == 0.7
        assert (alone.teacher, alone.distill) == ({}, {})
    assert records["v2"].seed != records["v2-s2"].seed
    again, chosen = records[f"{best}-s2"], records[best]
    assert (again.role, again.repeat_of, again.number) == ("repeat", best, None)
    assert (again.arch, again.distill) == (chosen.arch, chosen.distill)
    assert again.seed != chosen.seed
    report = (runs / "seeds" / "report" / "report.md").read_text()
    assert "% mean AP over 2 seeds" in report
    assert f"| seed of {best} | {best}-s2 |" in report


def test_references_alone_with_another_teacher_and_start(finished: dict[str, Any], tmp_path: Path) -> None:
    """A second teacher is compared on the references only; every student starts from the same backbone."""
    runs, start = finished["folder"].parent, finished["folder"] / "trials" / "v2" / "weights.safetensors"
    weights = tmp_path / "wide.safetensors"
    save_weights(build(ARCHS["v2_as_written"]), weights)
    options = ["--name", "second", "--trials", "0", "--epochs", "1", "--init-backbone", str(start)]
    assert main([*STUDY, "--runs", str(runs), *ONE, *options, "--teacher", f"v2_as_written:{weights}"]) == 0
    records = {r.label: r for r in load_records(runs / "second")}
    assert list(records) == ["v2_as_written", "v2"]
    assert records["v2"].teacher["label"] == "v2_as_written"
    report = (runs / "second" / "report" / "report.md").read_text()
    assert "teacher v2_as_written measured" in report
    assert "The study searched nothing: it trained references, 1 network to the end." in report
    assert "V1 measured" not in report
    assert "best measured" not in report
    plan_start = json.loads((runs / "second" / "study.json").read_text())["identity"]["teacher weights"]
    assert plan_start.startswith("v2_as_written ")
    assert ", backbone from " in plan_start


def test_one_process_runs_a_study(finished: dict[str, Any]) -> None:
    with single_writer(finished["folder"]), pytest.raises(InputError, match="is in use"):
        main([*STUDY, "--runs", str(finished["folder"].parent)])


def test_a_full_disk_ends_in_one_line_and_the_study_goes_on_later(
    finished: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*STUDY, "--runs", str(finished["folder"].parent), *ONE, "--name", "full"]
    arguments += ["--trials", "1", "--epochs", "1"]
    save, calls = TrialRecord.save, 0

    def full(record: TrialRecord, folder: Path) -> None:
        nonlocal calls
        calls += 1
        if calls > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / "record.json"))
        save(record, folder)

    monkeypatch.setattr(TrialRecord, "save", full)
    with pytest.raises(SystemExit) as stopped:
        cli.run(main, arguments)
    monkeypatch.undo()
    assert stopped.value.code == 1
    assert "the disk is full; free some space and run the same command again" in capsys.readouterr().err
    assert main(arguments) == 0
    assert all(r.state == "complete" for r in load_records(finished["folder"].parent / "full"))


REFUSED = {
    "unknown space": (["--space", "v2_lite"], "unknown space 'v2_lite'; did you mean 'v2_light'?"),
    "a path for a space": (["--space", "search_spaces/v2_light.py"], "is a path: give a name; did you mean 'v2_light'"),
    "unknown study": (["--study", "fast"], "unknown study 'fast'"),
    "unknown sampler": (["--sampler", "cmaes"], "unknown sampler 'cmaes' (known: tpe, random, nsga2, gp)"),
    "unknown pruner": (["--pruner", "wilcoxon"], "unknown pruner 'wilcoxon'"),
    "unknown objective": (["--objectives", "ap,size", "--pruner", "none"], "objectives start with 'ap'"),
    "pruning several objectives": (["--objectives", "ap,params"], "cannot prune: use --pruner none"),
    "budget 0": (["--budget", "0"], "budget must be a positive number of parameters, got 0"),
    "negative budget": (["--budget", "-5"], "budget must be a positive number of parameters, got -5"),
    "budget below the backbone": (["--budget", "200000"], "nothing fits the budget of 200,000 parameters"),
    "no trials": (["--trials", "-1"], "trials must be positive, or 0 to train the references only, got -1"),
    "no data folder": (["--data", "nowhere"], "there is no folder nowhere"),
    "no workers": (["--workers", "0"], "--workers must be at least 1, got 0"),
    "more threads than cores": (["--workers", "64", "--threads", "4"], "64 workers of 4 threads need 256 cores"),
    "unknown device": (["--device", "tpu"], "--device is cpu, cuda or cuda:N, got 'tpu'"),
    "no teacher file": (["--teacher", "missing.safetensors"], "there is no file missing.safetensors"),
    "a teacher that is no arch": (["--teacher", "v3:x.pth"], "unknown arch 'v3'"),
    "a teacher that is a reference": (["--teacher", "v2:x.pth"], "'v2' is the teacher and a reference"),
    "unknown reference": (["--references", "v3-alone"], "unknown arch 'v3'"),
    "nothing to train": (["--trials", "0", "--references", ""], "trials must be positive, or 0 to train"),
    "no seeds": (["--seeds", "0"], "seeds must be positive, got 0"),
    "malformed tracking": (["--tracking-uri", "localhost:5000"], "did you mean 'http://localhost:5000'?"),
    "malformed storage": (["--storage", "trials.db"], "is not a database URL"),
    "unreachable storage": (["--storage", "sqlite:////nowhere/study.db"], "cannot be opened"),
    "a name that is a path": (["--name", "a/b"], "letters, digits, '_' and '-' only, got 'a/b'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_input_is_refused_in_one_line_before_anything_starts(case: str, tmp_path: Path) -> None:
    options, message = REFUSED[case]
    with pytest.raises(InputError) as refused:
        main([*STUDY, "--runs", str(tmp_path / "runs"), *options])
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "runs").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot be written .*: choose another place with --runs"):
        main([*STUDY, "--runs", str(tmp_path / "file" / "runs")])


def test_a_teacher_of_another_architecture_leaves_nothing_behind(finished: dict[str, Any]) -> None:
    runs = finished["folder"].parent
    student = finished["folder"] / "trials" / "v2" / "weights.safetensors"
    with pytest.raises(InputError, match="teacher must be 'v1'"):
        main([*STUDY, "--runs", str(runs), *ONE, "--name", "other", "--teacher", str(student)])
    assert not (runs / "other").exists()


def test_the_exit_code_is_2_and_stderr_one_line(tmp_path: Path) -> None:
    code, output, errors = end(start(tmp_path / "runs", "--budget", "200000"))
    assert (code, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert errors.startswith("error: space 'v2_light': nothing fits the budget of 200,000 parameters")


def test_a_folder_that_holds_no_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as refused:
        main(["--data", str(tmp_path / "empty"), "--runs", str(tmp_path / "runs"), "--tracking-uri", "none", *ONE])
    assert "empty" in str(refused.value)
    assert not any((tmp_path / "runs").glob("*/study.json"))


def test_everything_with_a_name_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert set(listed["studies"]) >= {"default", "quick", "widerface"}
    assert "v2_light" in listed["spaces"]
    assert set(listed["samplers"]) == {"tpe", "random", "nsga2", "gp"}
    assert set(listed["pruners"]) == {"median", "halving", "none"}
