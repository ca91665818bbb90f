"""``python -m harness.compare`` as a shell sees it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from harness import compare
from harness.data.truth import LISTS, GroundTruth
from harness.errors import InputError
from harness.evaluation.attributes import ATTRIBUTES
from harness.evaluation.predictions import write_predictions
from tests import fake_comparison
from tests.mat import column

pytestmark = pytest.mark.slow

FEW = ["--resamples", "100"]


def write_ground_truth(folder: Path, truth: GroundTruth) -> None:
    """Write the official files; half of the faces are blurred, all else is 0."""
    folder.mkdir()
    events = sorted({name.partition("/")[0] for name in truth.ids})
    of = [[i for i, name in enumerate(truth.ids) if name.startswith(f"{event}/")] for event in events]

    def table(values: list[np.ndarray]) -> np.ndarray:
        return column([column([values[i] for i in images]) for images in of])

    corners = [np.concatenate((b[:, :2], b[:, 2:] - b[:, :2]), axis=1) for b in truth.boxes]
    labels = {f"{name}_label_list": table([np.zeros((len(b), 1)) for b in truth.boxes]) for name in ATTRIBUTES}
    labels["blur_label_list"] = table([np.arange(len(b))[:, None] % 2 for b in truth.boxes])
    content = {"event_list": column(list(events)), "face_bbx_list": table(corners), **labels}
    content["file_list"] = column([column([truth.ids[i].partition("/")[2] for i in images]) for images in of])
    savemat(folder / "wider_face_val.mat", content)
    for name in LISTS:
        kept = [1 + np.flatnonzero(mask)[:, None] for mask in truth.keep[name]]
        savemat(folder / f"wider_{name}_val.mat", {"gt_list": table(kept)})


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    faces = fake_comparison.write_images(runs, 20)
    fake_comparison.write_study(runs, faces, "one", seeds=2, skills=(0.6, 0.7))
    fake_comparison.write_study(runs, faces, "other", teacher="featherface", seeds=1, skills=())
    truth = faces.truth()
    write_ground_truth(runs / "truth", truth)
    write_predictions(runs / "found", truth.ids, fake_comparison.detect(truth, 0.8, 5))
    return runs


@pytest.mark.slow
def test_everything_at_once(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    truth, files = runs / "truth", f"Some=Detector={runs / 'found'}"
    arguments = ["one", "other", "--runs", str(runs), "--ground-truth", str(truth), *FEW]
    more = ["--published", files, "--publish", "both", "--note", "Not official."]
    with pytest.raises(InputError, match="prediction"):
        compare.main([*arguments, *more])
    arguments += ["--published", files.replace("Some=", "Some-"), *more[2:], "--json"]
    assert compare.main(arguments) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["report"] == str(runs / "compare-one-other" / "report.md")
    assert answer["published_report"] == "reports/both/report.md"
    text = (tmp_path / "reports/both/report.md").read_text(encoding="utf-8")
    assert "| blur: normal |" in text
    assert "## Published detectors on the same images" in text
    detector = answer["published"]["Some-Detector"]["mean"]
    assert detector["interval"][0] < detector["value"] < detector["interval"][1]
    assert answer["published_protocol"]["digest"] != answer["protocol"]["digest"]
    assert answer["published_protocol"]["digest"] in text
    assert "Some-Detector" not in {row["name"] for row in answer["groups"]}
    assert str(runs) not in text + (tmp_path / "reports/both/summary.json").read_text(encoding="utf-8")
    assert text.rstrip("`\n").endswith(
        "python -m harness.compare one other --ground-truth PATH/TO/truth --published Some-Detector=PATH/TO/found "
        f"--resamples 100 --runs PATH/TO/{runs.name} --publish both --note 'Not official.'"
    )
    private = Path(answer["report"]).read_text(encoding="utf-8")
    assert f"--ground-truth {truth}" in private
    assert "--publish both" not in private


def test_the_table_and_the_sentences(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert compare.main(["one", "--runs", str(runs), *FEW]) == 0
    out = capsys.readouterr().out
    assert "V2 from V1" in out
    assert "256,156" in out
    assert "points" in out
    assert str(runs / "compare-one" / "report.md") in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["one", "--note", "x"], "--note needs --publish"),
        (["one", "--published", "A=b"], "--published needs --ground-truth"),
        (["one", "--resamples", "3"], "--resamples must be at least 100, got 3"),
        ([], "the following arguments are required: STUDY"),
    ],
)
def test_options_that_do_not_go_together(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        compare.main(arguments)
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none"], "unknown study"),
        (["one", "one"], "given twice"),
        (
            ["one", "--publish", "../both"],
            r"--publish holds letters, digits, '_' and '-' only, and begins with no '-', got '\.\./both'",
        ),
        (["one", "--publish", ""], "--publish holds letters"),
        (["one", "--ground-truth", "nowhere"], r"nowhere/wider_face_val\.mat is missing"),
        (["one", "--ground-truth", "x", "--published", "nofile"], "LABEL=PATH, got 'nofile'"),
    ],
)
def test_bad_input_is_refused(runs: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        compare.main([*arguments, "--runs", str(runs)])


@pytest.mark.slow
def test_the_shell_sees_one_line_and_code_2(runs: Path) -> None:
    command = [sys.executable, "-m", "harness.compare", "none", "--runs", str(runs)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
