"""Published reports are what their records give; whatever is changed is found and named."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib import rc_context
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__  # type: ignore[import-not-found]

from harness import compare, report
from harness.core.ablation import Ablation
from harness.core.record import TrialRecord
from harness.core.sealed import DIGEST, sealed
from harness.errors import DataError, InputError
from harness.evaluation.predictions import write_predictions
from harness.reporting import build_report, publish_report, records
from harness.reporting.records import RECORDS, check, published, renew
from harness.reporting.records.archive import packed, unpacked
from harness.reporting.study.data import load
from harness.search import designs
from tests import fake_comparison
from tests.fake_ablation import write_ablation
from tests.reporting.fake_study import write_study
from tests.test_compare import write_ground_truth

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
KINDS = ("fake", "both", "ablation-fake")


def publish_all(runs: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Publish a study, a comparison and an ablation from a working folder, and return its ``reports/``."""
    folder.mkdir()
    monkeypatch.chdir(folder)
    publish_report(runs / "fake", Path("reports"), "A note.")
    publish_report(runs / "ablation-fake", Path("reports"))
    truth, detector = ["--ground-truth", str(runs / "truth")], ["--published", f"Other={runs / 'found'}"]
    arguments = ["one", "other", "--runs", str(runs), "--resamples", "100", "--publish", "both", "--json"]
    assert compare.main([*arguments, *truth, *detector]) == 0
    return folder / "reports"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    write_study(runs, seeds=2)
    faces = fake_comparison.write_images(runs, 20)
    fake_comparison.write_study(runs, faces, "one", seeds=2, skills=(0.6, 0.7))
    fake_comparison.write_study(runs, faces, "other", teacher="featherface", seeds=1, skills=(), source=f"{runs}/mine")
    ladder, differences = designs.ladder()
    few = Ablation("ladder", ladder, differences, (2,))
    write_ablation(runs, faces, few, {})
    truth = faces.truth()
    write_ground_truth(runs / "truth", truth)
    write_predictions(runs / "found", truth.ids, fake_comparison.detect(truth, 0.8, 5))
    return runs


@pytest.fixture(scope="module")
def reports(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        return publish_all(runs, tmp_path_factory.mktemp("published") / "work", patch)


@pytest.fixture
def own(reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the reports to be changed, in the working folder."""
    shutil.copytree(reports, tmp_path / "reports")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "reports"


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_same_records_give_the_same_bytes(
    runs: Path, reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with rc_context({"font.size": 20.0, "lines.linewidth": 5.0}):
        again = publish_all(runs, tmp_path / "elsewhere", monkeypatch)
    first, second = contents(reports), contents(again)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    capsys.readouterr()
    assert report.main(["--check"]) == 0
    assert capsys.readouterr().out.splitlines() == [f"fresh: reports/{name}" for name in sorted(KINDS)]


def test_records_hold_no_path_no_picture_of_people_and_no_weights(runs: Path, reports: Path) -> None:
    for name in KINDS:
        for file, content in unpacked(reports / name / RECORDS).items():
            assert file.endswith((".json", ".npz")), file
            assert str(runs).encode() not in content, file
            assert b"/mine" not in content, file
            assert file.startswith("fake/") or "examples" not in file, file


def test_an_edited_number_is_stale_and_named(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = own / "fake" / "report.md"
    text = path.read_text(encoding="utf-8")
    assert text.count("| 0010 |") > 0
    path.write_text(text.replace("69.1", "69.2", 1), encoding="utf-8")
    assert report.main(["--check", "fake"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "stale: reports/fake/report.md",
        "python -m harness.report --renew fake writes what reports/fake/records.tar.xz gives",
    ]
    (own / "fake" / "results.csv").unlink()
    (own / "fake" / "more.txt").touch()
    assert report.main(["--check", "fake", "--json"]) == 1
    (one,) = json.loads(capsys.readouterr().out)["reports"]
    assert one["stale"] == ["more.txt", "report.md", "results.csv"]
    assert one["fresh"] is False
    (own / "fake" / "more.txt").unlink()
    (own / "fake" / "best.safetensors").write_bytes(b"weights")
    assert report.main(["--renew", "fake"]) == 0
    assert path.read_text(encoding="utf-8") == text
    assert check(own / "fake").fresh
    assert (own / "fake" / "best.safetensors").read_bytes() == b"weights", "weights are not made from records"


def changed(archive: Path, file: str, change: Callable[[dict[str, object]], None], *, seal: bool = True) -> None:
    """Change a JSON file in an archive, with its digest or without."""
    files = unpacked(archive)
    content = json.loads(files[file])
    change(content)
    if seal:
        content.pop(DIGEST)
    files[file] = sealed(content) if seal else json.dumps(content).encode()
    archive.write_bytes(packed(files))


def test_a_changed_record_is_found(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive, file = own / "fake" / RECORDS, "fake/trials/v2/record.json"
    changed(archive, file, lambda record: record.update(params=256_157))
    assert {"report.md", "report.html", "results.csv", "summary.json"} <= set(check(own / "fake").stale)
    changed(archive, file, lambda record: record.update(params=256_156), seal=False)
    assert report.main(["--check", "fake"]) == 1
    out = capsys.readouterr().out
    assert out.startswith("not made again: reports/fake: ")
    assert "records.tar.xz: fake/trials/v2/record.json was changed after it was written" in out
    assert out.count("\n") == 1
    ap = {"easy": 0.9, "medium": 0.8, "hard": 0.7, "mean": 0.8}
    changed(own / "both" / RECORDS, "one/trials/v2/record.json", lambda record: record.update(ap=ap))
    assert "as AP easy, its record says 0.9: one of them was replaced" in check(own / "both").reason


def test_damaged_and_missing_records_are_one_line(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    archive = own / "both" / RECORDS
    archive.write_bytes(archive.read_bytes()[:-100])
    (own / "fake" / RECORDS).unlink()
    shutil.rmtree(own / "ablation-fake")
    assert report.main(["--check"]) == 1
    damaged, without = capsys.readouterr().out.splitlines()
    assert damaged.startswith("not made again: reports/both: ")
    assert "is damaged" in damaged
    assert without == "no records, not checked: reports/fake"
    assert report.main(["--check", "fake"]) == 0
    with pytest.raises(DataError, match=r"records\.tar\.xz is missing"):
        renew(own / "fake")
    with pytest.raises(InputError, match=r"unknown report in reports/: 'fak'; did you mean 'fake'\?"):
        report.main(["--check", "fak"])
    shutil.rmtree(own)
    with pytest.raises(InputError, match="no report in reports/"):
        report.main(["--check"])


@pytest.mark.parametrize(
    "change",
    [{"kind": "other"}, {"studies": []}, {"studies": ["../x"]}, {"resamples": "many"}, {"more": 1}],
    ids=lambda change: next(iter(change)),
)
def test_a_recipe_of_another_version_is_refused(own: Path, change: dict[str, object]) -> None:
    changed(own / "fake" / RECORDS, "report.json", lambda recipe: recipe.update(change))
    assert "records.tar.xz: report.json is of another version" in check(own / "fake").reason


def test_unpacked_records_are_studies_again(runs: Path, reports: Path, tmp_path: Path) -> None:
    for name in KINDS:
        with tarfile.open(reports / name / RECORDS) as archive:
            archive.extractall(tmp_path, filter="data")
    assert compare.main(["one", "other", "--runs", str(tmp_path), "--resamples", "100", "--json"]) == 0
    found = json.loads((tmp_path / "compare-one-other" / "summary.json").read_text(encoding="utf-8"))
    before = json.loads((reports / "both" / "summary.json").read_text(encoding="utf-8"))
    assert found["pairs"] == before["pairs"]
    assert found["recall"] == before["recall"], "also by the attributes that the ground truth has"
    assert (
        build_report(tmp_path / "fake").with_name("results.csv").read_bytes()
        == (reports / "fake" / "results.csv").read_bytes()
    )
    ours, theirs = load(tmp_path / "fake").records, load(runs / "fake").records
    assert ours == theirs
    assert TrialRecord.load(tmp_path / "one" / "trials" / "v2") == TrialRecord.load(runs / "one" / "trials" / "v2")


def test_older_instruction_sets_give_the_same_bytes(reports: Path) -> None:
    """A machine that checks is not the one that published: NumPy adds up in another order without these."""
    faster = " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name])
    command = [sys.executable, "-m", "harness.report", "--check", "both", "ablation-fake"]
    environment = os.environ | {"NPY_DISABLE_CPU_FEATURES": faster, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=reports.parent, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == ["fresh: reports/both", "fresh: reports/ablation-fake"], done.stderr
    assert done.returncode == 0


def test_committed_reports_are_what_their_records_give() -> None:
    for folder in published(ROOT / "reports", []):
        found = records.check(folder)
        assert not found.stale, (
            f"{folder.name}: {', '.join(found.stale)}: python -m harness.report --renew {folder.name}"
        )
        assert not found.reason
