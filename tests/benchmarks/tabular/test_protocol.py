"""The protocol of the table, and what its command refuses."""

from dataclasses import replace
from pathlib import Path

import pytest

import benchmarks.tabular.__main__ as command
from benchmarks.tabular.protocol import FOLDER, drawn, portable, protocol
from harness import cli
from harness.core.arch import ARCHS
from harness.core.names import load_space, load_study
from harness.counting import SpaceCounts
from harness.search.candidates import identity


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
