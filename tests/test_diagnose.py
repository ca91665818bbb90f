"""The command from end to end on a study of toy size: what it writes, what it finds by itself, what it refuses."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import study
from harness.diagnose import find_start, main
from harness.errors import DataError, InputError
from harness.models.weights import file_digest
from harness.reporting.diagnosis import load_diagnosis

STUDY = ["--study", "quick", "--name", "toy", "--trials", "1", "--epochs", "1", "--pruner", "none"]
STUDY += ["--references", "v2", "--workers", "1", "--device", "cpu", "--tracking-uri", "none"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("diagnose") / "runs"
    assert study.main([*STUDY, "--runs", str(runs)]) == 0
    return runs


@pytest.fixture
def changed(runs: Path, tmp_path: Path) -> Callable[..., list[str]]:
    """Return arguments that name a copy of the study whose ``study.json`` says something else."""

    def change(**values: Any) -> list[str]:
        shutil.copytree(runs / "toy", tmp_path / "toy")
        (tmp_path / "cache").symlink_to(runs / "cache")
        path = tmp_path / "toy" / "study.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
        return ["toy", "--runs", str(tmp_path), "--batches", "1"]

    return change


def test_the_references_and_the_best_student_are_diagnosed(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "pictures" / "shares.svg"
    assert main(["toy", "--runs", str(runs), "--plot", str(plot), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["students"]) == {"v2", "0000"}
    assert found["teacher"] == {"label": "v1", "params": 487_103}
    for student in found["students"].values():
        assert (student["batches"], student["images"], student["notes"]) == (4, 32, [])
        for moment in ("start", "end"):
            terms = {name: row for name, row in student[moment].items() if name not in ("truth", "teacher", "total")}
            assert set(terms) == {name for name, weight in student["weights"].items() if weight}
            assert sum(row["share"] for row in terms.values()) == pytest.approx(1.0)
            assert student[moment]["truth"]["cosine"] == pytest.approx(1.0)
            assert student[moment]["total"]["norm"] > 0
        assert student["teacher"]["positives"] == student["student"]["positives"] > 0

    page = Path(found["report"])
    assert page == runs / "toy" / "diagnosis" / "diagnosis.md"
    assert {path.name for path in page.parent.iterdir()} == {"diagnosis.md", "diagnosis.json", "gradients.png"}
    assert plot.is_file()
    text = page.read_text(encoding="utf-8")
    assert str(runs) not in text
    assert str(Path.home()) not in text
    assert all(f"- {sentence}" in text for sentence in found["findings"])
    assert "## v2: gradients at the start of training" in text
    assert load_diagnosis(runs / "toy") == {k: v for k, v in found.items() if k not in ("findings", "report")}


def test_one_student_is_told_in_sentences(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toy", "v2", "--runs", str(runs), "--batches", "1"]) == 0
    output = capsys.readouterr().out
    assert output.startswith("- v2, start: the largest gradient is ")
    assert "0000" not in output
    assert output.splitlines()[-1] == f"report: {runs / 'toy' / 'diagnosis' / 'diagnosis.md'}"
    assert "`python -m harness.diagnose toy v2 --batches 1`" in (runs / "toy/diagnosis/diagnosis.md").read_text()


def test_a_start_that_is_not_found_is_left_out_and_said(
    changed: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*changed(identity={"teacher weights": "auto, backbone from 0123"}), "v2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["students"]["v2"]["start"] is None
    assert found["students"]["v2"]["end"]["box"]["norm"] > 0
    assert "the backbone that it began with was not found: give --init-backbone" in found["findings"][-1]


def test_images_of_another_study_are_refused(changed: Callable[..., list[str]]) -> None:
    with pytest.raises(InputError, match="synthetic does not hold the images that toy was trained on"):
        main(changed(data={"train_digest": "0123", "val_digest": "4567"}))


def test_the_start_is_the_file_of_the_recorded_digest(tmp_path: Path) -> None:
    teacher, other = tmp_path / "teacher.safetensors", tmp_path / "other.safetensors"
    teacher.write_bytes(b"teacher")
    other.write_bytes(b"other")
    config = {"from_scratch": False}
    usual = {"name": "toy", "config": config, "command": "python -m harness.study"}
    usual |= {"identity": {"teacher weights": "auto"}, "teacher": {"digest": file_digest(teacher)}}
    assert find_start(usual, teacher, None) == (True, teacher)
    with pytest.raises(InputError, match=r"other\.safetensors: the students of toy began with a file of digest"):
        find_start(usual, teacher, other)

    given = usual | {"identity": {"teacher weights": f"auto, backbone from {file_digest(other)}"}}
    assert find_start(given, teacher, None) == (False, None)
    assert find_start(given, teacher, other) == (True, other)
    for option in (f"--init-backbone {other}", f"--init-backbone={other}"):
        assert find_start(given | {"command": f"python -m harness.study {option}"}, teacher, None) == (True, other)

    scratch = usual | {"config": {"from_scratch": True}}
    assert find_start(scratch, teacher, None) == (True, None)
    with pytest.raises(InputError, match="began with random numbers"):
        find_start(scratch, teacher, other)


def test_unknown_names_list_the_known_ones(runs: Path) -> None:
    with pytest.raises(InputError, match=r"unknown study in .* 'toi'; did you mean 'toy'\?"):
        main(["toi", "--runs", str(runs)])
    with pytest.raises(InputError, match=r"unknown student trained to its end in toy: 'v1'.* \(known: 0000, v2\)"):
        main(["toy", "v1", "--runs", str(runs)])


@pytest.mark.parametrize(
    ("options", "message"),
    [(["--batches", "0"], "--batches must be at least 1, got 0"), (["--plot", "a.txt"], "--plot must end in .png")],
)
def test_options_are_refused_before_anything_loads(
    options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["toy", *options])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_broken_diagnosis_says_how_to_make_it_again(tmp_path: Path) -> None:
    assert load_diagnosis(tmp_path) is None
    (tmp_path / "diagnosis").mkdir()
    (tmp_path / "diagnosis" / "diagnosis.json").write_text("{")
    with pytest.raises(DataError, match=r"python -m harness\.diagnose .* makes it"):
        load_diagnosis(tmp_path)
