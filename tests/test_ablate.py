"""``python -m harness.ablate`` as its user sees it."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness import ablate
from harness.core.names import load_study
from harness.core.protocol import StudyConfig
from harness.errors import InputError
from harness.reporting import build_report
from harness.reporting.publish import places
from tests.fake_ablation import write_ablation
from tests.fake_comparison import write_images


def asked(*argv: str) -> StudyConfig:
    return ablate.configure(ablate._parser().parse_args(argv))


def test_the_default_is_the_ladder_on_scenes() -> None:
    config = asked()
    study = load_study("ablation_v1_v2")
    assert config.name == "ablation-ladder-v1_v2-synthetic"
    assert (config.data, config.train, config.distill) == (study.data, study.train, study.distill)
    assert (config.trials, config.references) == (0, ())
    assert config.ablation is not None
    assert (config.ablation.kind, config.ablation.looks, len(config.ablation.arms)) == ("ladder", (3,), 10)
    assert asked("--ladder", "v1_to_v2").ablation == asked("--ladder").ablation == config.ablation


def test_every_argument_reaches_the_study() -> None:
    config = asked(
        "--factorial", "--study", "quick", "--seeds", "2", "--max-seeds", "5", "--epochs", "3", "--seed", "7"
    )
    assert config.ablation is not None
    assert (config.name, config.ablation.kind) == ("ablation-factorial-quick-synthetic", "factorial")
    assert (config.ablation.looks, config.train.epochs, config.seed) == ((2, 4, 5), 3, 7)
    assert asked("--name", "mine").name == "ablation-mine"
    assert asked("--grid", "context.groups=1,2", "head.trunk=conv").name == (
        "ablation-grid-context_groups-head_trunk-v1_v2-synthetic"
    )
    assert asked("--hypotheses", "groups_4").name == "ablation-hypotheses-groups_4-v1_v2-synthetic"


def test_a_folder_chooses_the_protocol_of_photographs(tmp_path: Path) -> None:
    (tmp_path / "faces").mkdir()
    config = asked("--data", str(tmp_path / "faces"), "--leave-one-out", "v2")
    assert config.name == "ablation-leave-one-out-widerface-faces"
    assert config.train == load_study("ablation_widerface").train


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--ladder", "v1_to_v3"], "unknown ladder 'v1_to_v3'; did you mean 'v1_to_v2'? (known: v1_to_v2)"),
        (["--leave-one-out", "v1"], "unknown arch of --leave-one-out 'v1'; did you mean 'v2'? (known: v2)"),
        (["--hypotheses", "groups"], "unknown hypothesis 'groups'; did you mean 'groups_4'?"),
        (["--study", "ablation"], "unknown study 'ablation'"),
        (["--seeds", "1"], "an ablation needs at least 2 seeds"),
        (["--max-seeds", "2"], "--max-seeds must be at least the number of seeds, 3, got 2"),
        (["--name", "a/b"], "letters, digits"),
        (["--study", "ablation_widerface"], "give the folder of a copy with --data"),
    ],
)
def test_bad_input_is_refused(argv: list[str], words: str) -> None:
    with pytest.raises(InputError) as refused:
        asked(*argv)
    assert words in str(refused.value)
    assert refused.value.exit_code == 2


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--note", "x"], "--note needs --publish"),
        (["--factorial", "--hypotheses"], "not allowed with argument"),
        (["--max-sedes", "4"], "did you mean --max-seeds?"),
    ],
)
def test_options_that_do_not_go_together(argv: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        ablate.main(argv)
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_plan_starts_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    given = ["--study", "quick", "--hypotheses", "cbam_plus", "--max-seeds", "4", "--seeds", "2", "--runs", str(runs)]
    assert ablate.main([*given, "--plan", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {arm["label"]: arm["params"] for arm in found["arms"]} == {"v1-with-attention": 489_786, "v1-arm": 487_103}
    assert (found["trainings"], found["known"], found["most_trainings"]) == (4, 0, 8)
    assert found["hours"] > 0
    assert ablate.main([*given, "--plan"]) == 0
    said = capsys.readouterr().out
    assert "4 trainings, at most 8 with further seeds; 0 are in runs/ and are read" in said
    assert not runs.exists()


@pytest.mark.slow
def test_the_report_follows_the_trainings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faces = write_images(tmp_path, 20)

    def run_study(config: StudyConfig, resources: Any, _: Any) -> Path:
        assert config.ablation is not None
        return build_report(write_ablation(resources.runs, faces, config.ablation, {}, name=config.name))

    monkeypatch.setattr("harness.search.run.run_study", run_study)
    monkeypatch.chdir(tmp_path)
    given = ["--study", "quick", "--hypotheses", "cbam_plus", "--seeds", "2", "--runs", str(tmp_path), "--name", "one"]
    assert ablate.main([*given, "--publish", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "ablation-one"
    assert found["report"] == str(tmp_path / "ablation-one" / "report" / "report.md")
    assert (tmp_path / found["published"]).exists()
    assert [one["verdict"] for one in found["differences"]] == ["tie"]
    assert ablate.main(given) == 0
    said = capsys.readouterr().out
    assert "4 trainings; 0 are in runs/" in said
    assert "~95% performance CBAM" in said
    assert said.endswith(f"{places(Path(found['report']))}\n")
