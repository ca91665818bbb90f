"""``python -m harness.simulate`` as a shell sees it."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness import cli, simulate
from harness.core.budget import Budget
from harness.core.table import Table
from harness.errors import InputError
from tests import fake_table

FEW = ["--seeds", "2", "--trials", "6", "--samplers", "random,tpe,feasible-random", "--workers", "1"]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of a small space that the repository has, with a budget that most of it breaks."""
    path = tmp_path_factory.mktemp("table") / "table.json"
    found = fake_table.table("architectures", networks=20)
    config = replace(found.config, budget=Budget(232_000))
    replace(found, config=config, complete=False, wanted=50).save(path)
    return path


@pytest.mark.slow
def test_the_whole_command(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--table", str(table), *FEW, "--runs", str(tmp_path / "runs")]
    assert simulate.main([*arguments, "--publish", "replayed", "--note", "Planted.", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer["samplers"]) == ["random", "tpe", "feasible-random"]
    for sampler in answer["samplers"].values():
        assert len(sampler["median_best_by_trial"]) == 6
        assert 0 <= sampler["wasted_share"] <= 1
        assert 0 <= sampler["repeated_share"] <= 1
    ours = answer["samplers"]["feasible-random"]
    assert (ours["wasted_share"], ours["repeated_share"]) == (0, 0)
    assert None not in ours["median_best_by_trial"]
    assert answer["samplers"]["random"]["wasted_share"] > 0.5
    assert answer["surrogate"]["networks"] == 20
    assert {"r2", "tau", "mae"} <= set(answer["surrogate"])
    assert answer["remarks"] == ["The table is incomplete: 40 of 50 trainings."]
    assert answer["published_report"] == "reports/replayed/report.md"
    text = (tmp_path / "reports/replayed/report.md").read_text(encoding="utf-8")
    assert text == Path(answer["report"]).read_text(encoding="utf-8")
    assert str(table.parent) not in text
    assert "--table PATH/TO/table.json --samplers random,tpe,feasible-random --seeds 2 --trials 6" in text

    assert simulate.main(arguments) == 0
    out = capsys.readouterr().out
    assert "feasible-random" in out
    assert "wasted, %" in out
    assert f"report: {tmp_path / 'runs' / 'simulation-architectures' / 'report.md'}" in out


@pytest.mark.slow
def test_several_objectives_are_told_with_and_without_stopping(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = ["--table", str(table), "--seeds", "2", "--trials", "20", "--samplers", "random,feasible-random"]
    arguments += ["--workers", "1", "--runs", str(tmp_path / "runs"), "--objectives", "ap,params"]
    assert simulate.main([*arguments, "--publish", "stopped", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["objectives"], answer["pruner"]) == (["ap", "params"], "dominated")
    assert answer["report"] == str(tmp_path / "runs" / "stopping-architectures" / "report.md")
    assert answer["published_report"] == "reports/stopped/report.md"
    for sampler in answer["samplers"].values():
        low, high = sampler["saved_share"]["interval"]
        assert low <= sampler["saved_share"]["mean"] <= high
        assert 0 < sampler["hypervolume_share"]["mean"] <= 1
        assert sampler["wrongly_stopped"]["mean"] <= sampler["front"]["mean"]
    assert answer["samplers"]["feasible-random"]["saved_share"]["mean"] > 0
    assert answer["aim"]["largest_ap_lost"] == answer["noise"]["seeds"] > 0
    assert set(answer["aim"]["samplers"]) == {"random", "feasible-random"}
    text = (tmp_path / "reports/stopped/report.md").read_text(encoding="utf-8")
    assert text == Path(answer["report"]).read_text(encoding="utf-8")
    assert "--samplers random,feasible-random --seeds 2 --trials 20 --objectives ap,params --publish stopped" in text

    assert simulate.main([*arguments, "--pruner", "dominated"]) == 0
    out = capsys.readouterr().out
    assert "epochs saved, %" in out
    assert "- The aim: at least 40.0 % of the epochs are saved" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--objectives", "params,ap"], "objectives start with 'ap' and name each of ap, params, latency at most once"),
        (["--objectives", "ap,flops"], "got 'ap,flops'"),
        (["--objectives", ","], "objectives start with 'ap'"),
        (["--objectives", "ap,params", "--pruner", "median"], "cannot prune by 'median', which compares AP only"),
        (["--pruner", "dominated"], "pruner 'dominated' compares several objectives"),
        (["--objectives", "ap,latency"], "the table has those of 0 of 20 networks"),
        (["--samplers", "tpe,anealing"], r"unknown sampler 'anealing' \(known: feasible-evolution, .*, tpe\)"),
        (["--samplers", "feasible-tpee"], "did you mean 'feasible-tpe'"),
        (["--samplers", ","], "--samplers names no sampler"),
        (["--pruner", "medain"], "did you mean 'median'"),
        (["--table", "nowhere.json"], r"there is no table nowhere\.json: make it with python -m benchmarks\.tabular"),
        (["--space", "v1_to_v2"], "the table is of a space 'architectures' with digest"),
        (["--space", "nowhere"], "unknown space 'nowhere'"),
        (["--publish", "../up"], "--publish holds letters"),
    ],
)
def test_bad_input_is_refused(table: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        simulate.main(["--table", str(table), "--runs", str(tmp_path), *FEW, *arguments])


def test_a_table_of_a_space_that_is_gone_is_refused(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    replace(Table.load(table), space="gone").save(path)
    with pytest.raises(InputError, match="unknown space 'gone'"):
        simulate.main(["--table", str(path)])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--slow-seeds", "0"], "--slow-seeds must be at least 1, got 0"),
        (["--trials", "-1"], "--trials must be at least 1, got -1"),
        (["--workers", "9999"], "--workers must be at most the number of cores"),
        (["--note", "x"], "--note needs --publish"),
        (["--objectives", "ap,params", "--pruner", "none"], "leave out --pruner none"),
        (["--nonsense"], "unrecognized arguments: --nonsense"),
    ],
)
def test_options_out_of_range(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        simulate.main(arguments)
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_a_refusal_is_one_line_with_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.run(simulate.main, ["--table", "nowhere.json"])
    assert exit_.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1


@pytest.mark.slow
def test_the_shell_sees_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.simulate", "--table", str(tmp_path / "none.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_the_gaussian_process_has_fewer_seeds() -> None:
    given = simulate._parser().parse_args(["--samplers", "tpe,feasible-gp,gp", "--seeds", "30", "--slow-seeds", "4"])
    assert simulate._searches(given) == {"tpe": 30, "feasible-gp": 4, "gp": 4}
    given = simulate._parser().parse_args(["--samplers", "gp", "--seeds", "2"])
    assert simulate._searches(given) == {"gp": 2}
