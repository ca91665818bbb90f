"""The command from end to end: its output, files and refusals, and interrupted real trainings."""

import json
import signal
from pathlib import Path

import pytest

from harness.core.manifest import Manifest
from harness.core.record import load_records
from harness.errors import InputError
from harness.evaluate import main as evaluate
from harness.search.storage import single_writer
from harness.study import main
from tests.search.interrupted import KILLS
from tests.search.stub import outcome, records
from tests.toy import STUDY, WORKERS, Toy, end, start

ONE = ["--workers", "1"]


def test_json_is_all_that_is_printed(toy: Toy) -> None:
    found = json.loads(toy.output)
    assert found["name"] == "toy"
    assert found["trials"] == {"complete": 3, "pruned": 0, "failed": 0, "running": 0, "wanted": 3}
    assert (found["wasted"], found["repeated"]) == (0, 0)
    assert found["v1"]["params"] == 487_103
    assert found["v2"]["params"] == 256_156
    for name in ("v1", "v2", "best"):
        assert set(found[name]["ap"]) == {"easy", "medium", "hard", "mean"}
        assert found[name]["fps"] > 0
    assert Path(found["report"]).is_file()
    assert "Traceback" not in toy.errors


def test_real_trainings_are_recorded_whole(toy: Toy) -> None:
    found = records(toy.folder)
    assert list(found) == ["v1", "v2", "0000", "0001", "0002"]
    for record in found.values():
        assert (record.state, len(record.epochs)) == ("complete", 2)
        assert record.seconds["total"] >= record.seconds["train"] + record.seconds["evaluate"] > 0
        assert record.speed["fps"] > 0
        assert (toy.folder / "trials" / record.label / "weights.safetensors").exists()
    manifest = Manifest.load(toy.folder)
    assert 0 <= manifest.standing.timing["overhead_share"] < 1
    assert all(manifest.provenance.versions[name] for name in ("python", "torch", "optuna", "harness"))


@pytest.mark.slow
@pytest.mark.trains
def test_kills_and_interruptions_do_not_change_the_result(toy: Toy, cache: Path, tmp_path: Path) -> None:
    """One worker and then two; a worker killed, Ctrl-C, SIGKILL of all: the results are as without interruption."""
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "cache").symlink_to(cache)

    def run(workers: str, kills: str) -> tuple[int, str]:
        arguments = [*STUDY, "--runs", str(runs), "--workers", workers]
        code, _, errors = end(start("tests.search.interrupted", arguments, **{KILLS: kills}))
        return code, errors

    code, errors = run("1", "v2@1 SIGINT study")
    *_, report, last = errors.splitlines()
    assert (code, last) == (1, "interrupted; run the same command again to resume")
    assert report.startswith("report of the trials so far: ")
    assert (runs / "toy" / "report" / "report.md").is_file()
    code, errors = run("1", "0000@2 SIGKILL study")
    assert (code, "Traceback" in errors) == (-signal.SIGKILL, False)
    weights = {r.label: runs / "toy" / "trials" / r.label / "weights.safetensors" for r in load_records(runs / "toy")}
    done = {label: path.stat().st_mtime_ns for label, path in weights.items() if path.exists()}
    assert set(done) == {"v1", "v2"}
    code, errors = run(WORKERS, "0001@1 SIGKILL worker")
    assert code == 0, errors
    assert (
        "0001: its process was killed by SIGKILL (perhaps out of memory); it continues from its last checkpoint"
        in errors
    )
    assert outcome(runs / "toy") == outcome(toy.folder)
    assert {label: weights[label].stat().st_mtime_ns for label in done} == done, "what was complete is left as it is"


def test_a_trial_is_evaluated_by_its_name(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    runs = str(toy.runs)
    assert evaluate(["--trial", "toy/v2", "--data", "synthetic", "--limit", "4", "--runs", runs, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["arch"], found["images"]) == ("toy/v2", 4)
    with pytest.raises(InputError, match=r"unknown trial of toy: '0099'"):
        evaluate(["--trial", "toy/99", "--data", "synthetic", "--runs", runs])
    with pytest.raises(InputError, match="drop --arch and --weights"):
        evaluate(["--trial", "toy/v2", "--arch", "v2", "--data", "synthetic", "--runs", runs])


def test_one_command_runs_a_study(toy: Toy) -> None:
    with single_writer(toy.folder), pytest.raises(InputError, match="is in use"):
        main([*STUDY, "--runs", str(toy.runs)])


def test_a_teacher_of_another_architecture_leaves_nothing_behind(toy: Toy) -> None:
    student = toy.folder / "trials" / "v2" / "weights.safetensors"
    with pytest.raises(InputError, match="teacher must be 'v1'"):
        main([*STUDY, "--runs", str(toy.runs), *ONE, "--name", "other", "--teacher", str(student)])
    assert not (toy.runs / "other").exists()


REFUSED = {
    "unknown space": (["--space", "v2_lite"], "unknown space 'v2_lite'; did you mean 'v2_light'?"),
    "a path for a space": (["--space", "search_spaces/v2_light.py"], "is a path: give a name; did you mean 'v2_light'"),
    "unknown study": (["--study", "fast"], "unknown study 'fast'"),
    "unknown sampler": (["--sampler", "cmaes"], "unknown sampler 'cmaes' (known: tpe, random, nsga2, evolution, gp)"),
    "unknown pruner": (["--pruner", "wilcoxon"], "unknown pruner 'wilcoxon'"),
    "unknown objective": (["--objectives", "ap,size", "--pruner", "none"], "objectives start with 'ap'"),
    "pruning several objectives": (
        ["--objectives", "ap,params", "--pruner", "median"],
        "objectives ap,params cannot prune by 'median', which compares AP only: use --pruner dominated or none",
    ),
    "dominance in one objective": (["--pruner", "dominated"], "'dominated' compares several objectives"),
    "no latency": (["--max-latency-ratio", "-1"], "a multiple of V1's latency, a number above 0, got -1.0"),
    "budget 0": (["--budget", "0"], "budget must be a positive number of parameters, got 0"),
    "negative budget": (["--budget", "-5"], "budget must be a positive number of parameters, got -5"),
    "budget below the backbone": (["--budget", "200000"], "nothing fits the budget of 200,000 parameters"),
    "no trials": (["--trials", "-1"], "trials must be positive, or 0 to train the references only, got -1"),
    "no data folder": (["--data", "nowhere"], "there is no folder nowhere"),
    "no workers": (["--workers", "0"], "--workers must be at least 1, got 0"),
    "more threads than cores": (["--workers", "64", "--threads", "4"], "64 workers of 4 threads need 256 cores"),
    "unknown device": (["--device", "tpu"], "unknown device 'tpu': use cpu, cuda or cuda:N"),
    "no teacher file": (["--teacher", "missing.safetensors"], "there is no file missing.safetensors"),
    "a teacher that is no arch": (["--teacher", "v3:x.pth"], "unknown arch 'v3'"),
    "a teacher that is a reference": (["--teacher", "v2:x.pth"], "'v2' is both the teacher and a reference"),
    "unknown reference": (["--references", "v3-alone"], "unknown reference 'v3-alone'"),
    "nothing to train": (["--trials", "0", "--references", ""], "trials must be positive, or 0 to train"),
    "no seeds": (["--seeds", "0"], "seeds must be positive, got 0"),
    "malformed tracking": (["--tracking-uri", "localhost:5000"], "did you mean 'http://localhost:5000'?"),
    "malformed storage": (["--storage", "trials.db"], "is not a database URL"),
    "storage in memory": (["--storage", "sqlite://"], "storage 'sqlite://' names no file"),
    "a cluster without its engine": (["--gpus-per-trial", "0.5"], "--gpus-per-trial belong to --engine ray"),
    "no cluster": (["--engine", "ray", "--address", "127.0.0.1:1"], "no Ray cluster answers at 127.0.0.1:1"),
    "unreachable storage": (["--storage", "sqlite:////nowhere/study.db"], "cannot be opened"),
    "a name that is a path": (
        ["--name", "a/b"],
        "letters, digits, '_' and '-' only, and begins with no '-', got 'a/b'",
    ),
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


@pytest.mark.slow
def test_the_exit_code_is_2_and_stderr_one_line(tmp_path: Path) -> None:
    code, output, errors = end(start("harness.study", [*STUDY, "--runs", str(tmp_path / "runs"), "--budget", "200000"]))
    assert (code, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert errors.startswith("error: space 'v2_light': nothing fits the budget of 200,000 parameters")


def test_a_folder_that_holds_no_images_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError) as refused:
        main(["--data", str(tmp_path / "empty"), "--runs", str(tmp_path / "runs"), "--tracking-uri", "none", *ONE])
    assert "empty" in str(refused.value)
    assert not any((tmp_path / "runs").glob("*/study.json"))
