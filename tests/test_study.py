"""The study configuration that the arguments of ``harness.study`` describe."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import cli, study
from harness.core.names import load_study, space_names, study_names
from harness.core.protocol import PRUNERS, SAMPLERS, StudyConfig
from harness.errors import InputError


def asked(*argv: str) -> StudyConfig:
    return study.configure(study._parser().parse_args(argv))


def test_every_study_has_the_name_of_its_file() -> None:
    assert {name: load_study(name).name for name in study_names()} == {name: name for name in study_names()}


def test_without_arguments_the_default_study_is_named_by_space_and_data() -> None:
    assert asked() == replace(load_study("default"), name="default-v2_p5-synthetic")
    assert asked("--space", "v1_to_v2").name == "default-v1_to_v2-synthetic"
    assert asked("--name", "mine").name == "mine"


def test_a_folder_chooses_the_study_of_real_images(tmp_path: Path) -> None:
    folder = tmp_path / "my faces"
    folder.mkdir()
    config = asked("--data", str(folder), "--size", "64", "--val-images", "8")
    wanted = load_study("widerface")
    data = replace(wanted.data, source=str(folder), size=64, val_images=8)
    assert config == replace(wanted, data=data, name="widerface-v2_light-my_faces")


def test_every_argument_reaches_the_study() -> None:
    given = ["--trials", "3", "--seed", "7", "--window", "2", "--sampler", "gp", "--pruner", "none", "--seeds", "2"]
    config = asked("--study", "quick", *given, "--epochs", "5", "--from-scratch", "--references", "v2,v2-alone")
    quick = load_study("quick")
    changed: dict[str, Any] = {"trials": 3, "seed": 7, "window": 2, "sampler": "gp", "pruner": "none", "seeds": 2}
    changed |= {"train": replace(quick.train, epochs=5), "from_scratch": True, "references": ("v2", "v2-alone")}
    assert config == replace(quick, **changed, name="quick-v2_light-synthetic")
    assert asked("--references", "").references == ()


def test_a_bound_on_latency_is_part_of_the_budget() -> None:
    budget = asked("--max-latency-ratio", "0.7").budget
    assert budget == replace(load_study("default").budget, max_latency_ratio=0.7)
    assert str(budget) == "256,148 parameters and 0.7 × V1's latency"


def test_several_objectives_switch_pruning_off_unless_it_is_asked_for() -> None:
    assert load_study("quick").pruner != "none"
    config = asked("--study", "quick", "--objectives", "ap,params")
    assert (config.objectives, config.pruner) == (("ap", "params"), "none")
    with pytest.raises(InputError, match="cannot prune by 'median', which compares AP only"):
        asked("--study", "quick", "--objectives", "ap,params", "--pruner", "median")
    assert asked("--no-sharing", "--objectives", "ap,params", "--pruner", "dominated").pruner == "dominated"
    with pytest.raises(InputError, match="'dominated' compares several objectives"):
        asked("--no-sharing", "--pruner", "dominated")
    with pytest.raises(InputError, match="candidates are scored: give --no-sharing"):
        asked("--objectives", "ap,params", "--pruner", "dominated")


def test_without_sharing_fewer_candidates_are_trained() -> None:
    default = load_study("default")
    assert default.sharing is not None
    assert (asked().trials, asked().sharing) == (default.trials, default.sharing)
    alone = asked("--no-sharing")
    assert (alone.trials, alone.sharing) == (default.sharing.unshared, None)
    assert asked("--no-sharing", "--trials", "3").trials == 3


def test_a_study_of_several_objectives_keeps_its_own_pruner(monkeypatch: pytest.MonkeyPatch) -> None:
    own = replace(load_study("quick"), objectives=("ap", "params"), pruner="dominated")
    monkeypatch.setattr("harness.cli.given.load_study", lambda _: own)
    assert asked().pruner == "dominated"
    assert asked("--objectives", "ap,latency").pruner == "dominated"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--data", "nowhere"], "--data: there is no folder nowhere; give 'synthetic' or the folder of a WIDER FACE"),
        (["--study", "widerface"], "study 'widerface' trains on WIDER FACE images: give the folder of a copy with"),
        (["--study", "defualt"], "unknown study 'defualt'; did you mean 'default'?"),
        (["--space", "search_spaces/v2_light.py"], "is a path: give a name; did you mean 'v2_light'?"),
        (["--sampler", "cma"], "unknown sampler 'cma' (known: tpe, random, nsga2, evolution, gp)"),
        (["--objectives", "params"], "objectives start with 'ap'"),
        (["--max-latency-ratio", "0"], "a multiple of V1's latency, a number above 0, got 0.0"),
        (["--max-latency-ratio", "nan"], "a multiple of V1's latency, a number above 0, got nan"),
        (["--max-latency-ratio", "fast"], "--max-latency-ratio: invalid number value: 'fast'"),
        (["--seed", "1_0"], "--seed: invalid integer value: '1_0'"),
        (["--trials", "٣"], "--trials: invalid integer value: '٣'"),
        (
            ["--name", "../x"],
            "a study's name holds letters, digits, '_' and '-' only, and begins with no '-', got '../x'",
        ),
        (["--name=-x"], "and begins with no '-', got '-x'"),
        (["--name", "x" * 300], f"a study's name has at most 100 characters, got 300: '{'x' * 20}…'"),
        (
            ["--name", "cache"],
            "a study cannot be called 'cache': that folder holds something else; choose another --name",
        ),
        (["--name", "exports"], "a study cannot be called 'exports': that folder holds something else"),
        (["--seed", "-1"], "seed lies in 0 … 4,294,967,295, got -1"),
        (["--seed", "1" + 23 * "0"], "seed lies in 0 … 4,294,967,295, got 100,000,000,000,000,000,000,000"),
        (["--size", "100000032"], "size must be at most 8,192, got 100,000,032"),
        (["--val-images", "1" + 23 * "0"], "val_images must be at most 10,000,000, got 100,000,000,000,"),
        (["--epochs", "1" + 23 * "0"], "epochs must be at most 100,000, got 100,000,000,000,000,000,000,000"),
        (["--data", "x" * 300], f"{'x' * 300}: File name too long"),
    ],
)
def test_bad_input_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str], argv: list[str], message: str) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.run(study.main, argv)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert message in err
    assert (out, err.count("\n")) == ("", 1)


def test_the_list_holds_every_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert study.main(["--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {kind: set(names) for kind, names in listed.items()} == {
        "spaces": set(space_names()),
        "studies": set(study_names()),
        "samplers": set(SAMPLERS),
        "pruners": set(PRUNERS),
    }
    assert listed["spaces"]["v1_to_v2"] == "V1's or V2's part in every slot (128 configurations)"
    assert study.main(["--list"]) == 0
    assert re.search("^  gp +Gaussian process$", capsys.readouterr().out, re.MULTILINE)


def test_a_study_whose_trainings_were_all_read_tells_no_share_of_time(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.search.run.run_study", lambda *_: None)
    monkeypatch.setattr("harness.reporting.study.data.find_study", lambda name, _: Path(name))
    monkeypatch.setattr("harness.reporting.terminal_table", lambda _: "the table")
    for share, told in ((None, []), (0.25, ["25.0 % of the trials' time was neither training"])):
        monkeypatch.setattr("harness.reporting.summary", lambda _, share=share: {"overhead_share": share})
        assert study.main(["--study", "quick", "--device", "cpu"]) == 0
        first, *middle, report, _ = capsys.readouterr().out.splitlines()
        assert (first, report) == ("the table", "report: quick-v2_light-synthetic/report/report.md")
        assert [line[: len(want)] for line, want in zip(middle, told, strict=True)] == told
