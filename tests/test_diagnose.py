"""The command on a toy study: the files it writes, the data it finds, the input it refuses."""

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from harness import cli
from harness.core.arch import ARCHS
from harness.core.data import DataConfig
from harness.core.manifest import Images, Manifest, Space, Standing, Start, UsedTeacher
from harness.core.protocol import StudyConfig
from harness.core.provenance import Provenance
from harness.core.record import TrialRecord
from harness.core.training import DistillConfig, TrainConfig
from harness.data import load_split
from harness.diagnose import main
from harness.diagnosis.study import find_start
from harness.errors import DataError, InputError
from harness.models.builder import build
from harness.models.weights import file_digest, save_weights
from harness.reporting.diagnosis import load_diagnosis

DISTILL = DistillConfig()
CONFIG = StudyConfig(
    name="toy",
    description="scenes of 64 pixels",
    space="v2_light",
    data=DataConfig(size=64, train_images=32, search_images=4, val_images=4),
    train=TrainConfig(epochs=1, batch=8),
    distill=DISTILL,
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study as ``harness.study`` leaves it, of networks whose weights are random: nothing here depends on them."""
    runs = tmp_path_factory.mktemp("diagnose") / "runs"
    folder = runs / "toy"
    networks = {
        "v1": TrialRecord("v1", "teacher", params=487_103),
        "v2": TrialRecord("v2", "reference", distill=asdict(DISTILL)),
        "v2-s2": TrialRecord("v2-s2", "reference", repeat_of="v2", distill=asdict(DISTILL)),
        "v2-alone": TrialRecord("v2-alone", "reference"),
        "0000": TrialRecord("0000", "candidate", 0, distill=asdict(DISTILL)),
        "0001": TrialRecord("0001", "candidate", 1, distill=asdict(DISTILL)),
    }
    for seed, (label, record) in enumerate(networks.items()):
        record.arch, record.state = ARCHS["v1" if label == "v1" else "v2"].to_dict(), "complete"
        record.train = asdict(CONFIG.train)
        torch.manual_seed(seed)
        trial = folder / "trials" / label
        record.save(trial)
        save_weights(build(ARCHS["v1" if label == "v1" else "v2"]), trial / "weights.safetensors")
    digest = file_digest(folder / "trials" / "v1" / "weights.safetensors")
    faces = load_split(CONFIG.data, "train", runs / "cache")
    Manifest(
        config=CONFIG,
        space=Space({}, "", 0, 0, 0),
        data={"train": Images(faces.digest, len(faces), len(faces.boxes))},
        search_protocol={},
        protocol={},
        start=Start("teacher", digest),
        teacher=UsedTeacher("v1", digest, 487_103, ARCHS["v1"].to_dict()),
        identity={},
        workers=1,
        threads=1,
        command="",
        provenance=Provenance(),
        started="",
        standing=Standing(best="0001"),
    ).save(folder)
    return runs


@pytest.fixture
def changed(runs: Path, tmp_path: Path) -> Callable[[Callable[[Manifest], Manifest]], list[str]]:
    """Return arguments that name a copy of the study with another manifest."""

    def change(edit: Callable[[Manifest], Manifest]) -> list[str]:
        shutil.copytree(runs / "toy", tmp_path / "toy")
        (tmp_path / "cache").symlink_to(runs / "cache")
        edit(Manifest.load(tmp_path / "toy")).save(tmp_path / "toy")
        return ["toy", "--runs", str(tmp_path), "--batches", "1", "--device", "cpu"]

    return change


@pytest.mark.slow
def test_the_references_and_the_best_student_are_diagnosed(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / "pictures" / "shares.svg"
    assert main(["toy", "--runs", str(runs), "--device", "cpu", "--plot", str(plot), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found["students"]) == {"v2", "0001"}
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


def test_one_student_is_described_in_sentences(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["toy", "v2", "--runs", str(runs), "--device", "cpu", "--batches", "1"]) == 0
    output = capsys.readouterr().out
    assert " has the largest share of the gradient norms, " in output.splitlines()[0]
    assert "0001" not in output
    assert output.splitlines()[-1] == f"report: {runs / 'toy' / 'diagnosis' / 'diagnosis.md'}"
    assert "`python -m harness.diagnose toy v2 --batches 1`" in (runs / "toy/diagnosis/diagnosis.md").read_text()


def test_a_student_without_a_teacher_has_the_truths_terms_only(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["toy", "v2-alone", "--runs", str(runs), "--device", "cpu", "--batches", "1", "--json"]
    assert main(given) == 0
    found = json.loads(capsys.readouterr().out)["students"]["v2-alone"]
    assert set(found["end"]) == {"box", "class", "landmark", "truth", "total"}
    assert found["teacher"]["positives"] > 0


def test_a_start_that_is_not_found_is_left_out_and_reported(
    changed: Callable[[Callable[[Manifest], Manifest]], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    given = changed(lambda study: replace(study, start=Start("file", "0123456789abcdef")))
    assert main([*given, "v2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["students"]["v2"]["start"] is None
    assert found["students"]["v2"]["end"]["box"]["norm"] > 0
    assert "started from were not found: give --init-backbone" in found["findings"][-1]


def test_images_of_another_study_are_refused(
    changed: Callable[[Callable[[Manifest], Manifest]], list[str]],
) -> None:
    given = changed(lambda study: replace(study, data={"train": Images("0123", 32, 1)}))
    with pytest.raises(InputError, match="synthetic does not hold the images that toy was trained on"):
        main(given)


def test_the_start_is_the_file_of_the_recorded_digest(tmp_path: Path) -> None:
    study, other = tmp_path / "runs" / "toy", tmp_path / "other.safetensors"
    teacher = study / "trials" / "v1" / "weights.safetensors"
    earlier = tmp_path / "runs" / "teachers" / "0123" / "weights.safetensors"
    for path in (teacher, earlier, other):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(path.parent.name.encode())
    of_teacher, of_file = Start("teacher", file_digest(teacher)), Start("file", file_digest(other))
    assert find_start(of_teacher, study, None) == (True, teacher)
    assert find_start(Start("file", file_digest(earlier)), study, None) == (True, earlier)
    with pytest.raises(
        InputError, match=rf"other\.safetensors: the students of toy .* a file of digest {of_teacher.digest}"
    ):
        find_start(of_teacher, study, other)

    assert find_start(of_file, study, None) == (False, None)
    assert find_start(of_file, study, other) == (True, other)

    assert find_start(Start("random"), study, None) == (True, None)
    with pytest.raises(InputError, match="started from random numbers"):
        find_start(Start("random"), study, other)


def test_unknown_names_list_the_known_ones(runs: Path) -> None:
    with pytest.raises(InputError, match=r"unknown study in .* 'toi'; did you mean 'toy'\?"):
        main(["toi", "--runs", str(runs)])
    known = r"\(known: 0000, 0001, v2, v2-alone, v2-s2\)"
    with pytest.raises(InputError, match=rf"unknown student trained to its end in toy: 'v1'.* {known}"):
        main(["toy", "v1", "--runs", str(runs)])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--batches", "0"], "--batches must be at least 1, got 0"),
        (["--plot", "a.txt"], "--plot must end in .png, .svg or .pdf, got a.txt"),
        (["--device", "abacus"], "unknown device 'abacus'"),
    ],
)
def test_bad_options_are_one_line_and_code_2(
    runs: Path, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.run(main, ["toy", "--runs", str(runs), *options])
    assert stopped.value.code == 2
    out, err = capsys.readouterr()
    assert message in err
    assert (out, err.count("\n")) == ("", 1)


def test_a_broken_diagnosis_says_how_to_make_it_again(tmp_path: Path) -> None:
    assert load_diagnosis(tmp_path) is None
    (tmp_path / "diagnosis").mkdir()
    (tmp_path / "diagnosis" / "diagnosis.json").write_text("{")
    with pytest.raises(DataError, match=r"python -m harness\.diagnose .* makes it"):
        load_diagnosis(tmp_path)
