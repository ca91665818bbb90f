import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from markdown_it import MarkdownIt

from harness import report
from harness.core.arch import ARCHS, ArchConfig
from harness.core.record import TrialRecord
from harness.errors import DataError, InputError
from harness.models.builder import build
from harness.models.weights import load_weights, read_label, save_weights
from harness.reporting import build_report, publish_report, summary
from harness.reporting.records.archive import RECORDS, unpacked
from harness.reporting.study import tables
from harness.reporting.study.data import load
from harness.reporting.study.pictures import pictures
from tests.reporting.fake_study import EASIER, write_study

pytestmark = pytest.mark.slow

PICTURES = ("pareto", "parts", "speed", "learning_curves", "precision_recall", "importance", "examples")


def _tables(text: str) -> int:
    return sum(token.type == "table_open" for token in MarkdownIt("commonmark").enable("table").parse(text))


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    write_study(runs)
    write_study(runs, "photos", source="../data/widerface")
    write_study(runs, "bare", trials=0, references=False)
    return runs


@pytest.fixture(scope="module")
def built(runs: Path) -> Path:
    return build_report(runs / "fake")


def test_a_report_holds_every_table_and_picture(runs: Path, built: Path) -> None:
    path = built
    text = path.read_text(encoding="utf-8")
    assert path == runs / "fake" / "report" / "report.md"
    files = {"report.md", "report.html", "results.csv", *(f"{p}.png" for p in PICTURES)}
    assert {p.name for p in path.parent.iterdir()} == files
    for name in re.findall(r"\]\(([^)#]+)\)", text):
        assert (path.parent / name).is_file()
    assert _tables(text) == 5
    assert text.count("protocol `") >= 3
    assert "\n\n\n" not in text
    assert len(pd.read_csv(path.parent / "results.csv", dtype={"label": str})) == 14


@pytest.mark.slow
def test_a_second_report_is_the_same_byte_for_byte(runs: Path, built: Path) -> None:
    before = {p.name: p.read_bytes() for p in built.parent.iterdir()}
    build_report(runs / "fake")
    assert {p.name: p.read_bytes() for p in built.parent.iterdir()} == before


def test_missing_parts_are_explained_in_a_sentence(tmp_path: Path) -> None:
    path = build_report(write_study(tmp_path, trials=0, references=False))
    text = path.read_text(encoding="utf-8")
    for words in (
        "No student has a search AP yet",
        "No student's speed has been measured yet",
        "Too few students",
        "No network has been trained to the end",
        "has not written its example scenes",
    ):
        assert words in text
    assert not list(path.parent.glob("*.png"))


def test_one_trial_without_references_has_a_report(tmp_path: Path) -> None:
    path = build_report(write_study(tmp_path, trials=1, references=False))
    assert (path.parent / "pareto.png").exists()


def test_trainings_of_other_studies_are_named(tmp_path: Path) -> None:
    folder = write_study(tmp_path)
    record = TrialRecord.load(folder / "trials" / "0001")
    record.read_from = "earlier/v2"
    record.save(folder / "trials" / "0001")
    text = build_report(folder).read_text(encoding="utf-8")
    assert "Trainings that other studies had run already, which took no time here: 0001 (`earlier/v2`)." in text


def test_publishing_hides_paths_and_wider_face_images(runs: Path, tmp_path: Path) -> None:
    path = publish_report(runs / "photos", tmp_path)
    text = path.read_text(encoding="utf-8")
    assert path == tmp_path / "photos" / "report.md"
    assert "../data" not in text
    assert "--data PATH/TO/WIDERFACE" in text
    assert "WIDER FACE images are not shown" in text
    assert not (path.parent / "examples.png").exists()
    assert text.rstrip().endswith("python -m harness.report photos --publish\n```")
    assert "</details>" in text


def test_wider_face_images_stay_in_the_folder_of_the_study(tmp_path: Path) -> None:
    folder = write_study(tmp_path, source="photos/widerface")
    scenes = write_study(tmp_path, "synthetic") / "examples.npz"
    (folder / "examples.npz").write_bytes(scenes.read_bytes())
    report, public = build_report(folder), publish_report(folder, tmp_path / "public")
    assert (folder / "gallery.png").is_file()
    for path in (report, public):
        assert not {"examples.png", "gallery.png"} & {file.name for file in path.parent.iterdir()}
        assert "data:image/webp" not in path.with_name("report.html").read_text(encoding="utf-8")
        assert "WIDER FACE images are not shown" in path.read_text(encoding="utf-8")
    said = "The study's folder has some in `gallery.png`."
    assert said in report.read_text(encoding="utf-8")
    assert said not in public.read_text(encoding="utf-8"), "its readers do not have that folder"
    assert "examples" not in "".join(unpacked(public.with_name(RECORDS)))


def test_weights_are_published_with_what_is_known_of_them(tmp_path: Path) -> None:
    folder = write_study(tmp_path, "synthetic")
    data = load(folder)
    assert data.teacher is not None
    assert data.best is not None
    for record in (data.teacher, data.best):
        save_weights(build(ArchConfig.from_dict(record.arch)), folder / "trials" / record.label / "weights.safetensors")
    path = publish_report(folder, tmp_path / "public", weights=True)
    for name, record in (("v1", data.teacher), ("best", data.best)):
        kept = path.with_name(f"{name}.safetensors")
        label = read_label(kept)
        assert label["arch"] == record.arch
        assert (label["ap"], label["protocol"], label["trial"]) == (record.ap, record.protocol, record.label)
        load_weights(build(ArchConfig.from_dict(label["arch"])), kept)
    assert path.read_text(encoding="utf-8").rstrip().endswith("--publish --weights\n```")


def test_weights_that_saw_photographs_are_not_published(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="'photos' were trained on photographs: publish it without --weights"):
        publish_report(runs / "photos", tmp_path, weights=True)
    assert not list(tmp_path.iterdir())


def test_publishing_replaces_its_own_report_and_nothing_else(runs: Path, tmp_path: Path) -> None:
    publish_report(runs / "bare", tmp_path)
    publish_report(runs / "bare", tmp_path)
    other = tmp_path / "bare"
    (other / "summary.json").unlink()
    with pytest.raises(InputError, match="no study's report"):
        publish_report(runs / "bare", tmp_path)
    assert (other / "report.md").exists()
    assert {p.name for p in tmp_path.iterdir()} == {"bare"}


def test_the_summary_has_the_keys_that_scripts_rely_on(runs: Path) -> None:
    found = summary(runs / "fake")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert {key: found["trials"][key] for key in ("complete", "pruned", "failed")} == {
        "complete": 9,
        "pruned": 2,
        "failed": 1,
    }
    assert {"name", "wasted", "repeated", "seconds", "overhead_share", "report"} <= set(found)
    for network, params in (("v1", 487_103), ("v2", 256_156), ("best", 250_435)):
        assert found[network]["params"] == params
        assert set(found[network]["ap"]) == {"easy", "medium", "hard", "mean"}
        assert found[network]["fps"] > 0
        assert found[network]["arch"]["backbone"]["name"] == "mobilenetv1"


def test_best_is_chosen_by_search_ap_and_graded_by_validation_ap(runs: Path) -> None:
    best = summary(runs / "fake")["best"]
    assert best["label"] == "0010"
    assert best["search_ap"]["mean"] - best["ap"]["mean"] == pytest.approx(EASIER)
    assert summary(runs / "fake")["search_protocol"]["images"] == 300
    assert summary(runs / "fake")["protocol"]["images"] == 400


@pytest.mark.slow
def test_seed_variance_is_in_the_report_and_the_summary(runs: Path, tmp_path: Path) -> None:
    once = summary(runs / "fake")
    assert once["noise"] is once["validation_noise"] is once["ties"] is None
    folder = write_study(tmp_path, seeds=3)
    found = summary(folder)
    assert found["noise"] == pytest.approx({"sd": 0.015275, "degrees_of_freedom": 4, "least_difference": 0.05998}, 1e-3)
    assert found["validation_noise"]["sd"] == pytest.approx(found["noise"]["sd"] / 2)
    assert found["ties"] == ["0000", "0008", "0003", "0002", "0001", "0005"]
    text = build_report(folder).read_text(encoding="utf-8")
    assert "| 0010 | 3 | 68.7 ± 1.5 (69.1, 67.1, 70.1) | 65.9 ± 0.8 (66.1, 65.1, 66.6) |" in text


def test_a_study_without_result_has_a_summary(tmp_path: Path) -> None:
    found = summary(write_study(tmp_path, trials=0, references=False))
    assert found["best"] is found["v1"] is found["v2"] is None


def test_the_command_prints_the_table_and_the_path(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["bare", "--runs", str(runs)]) == 0
    printed = capsys.readouterr().out
    assert "256,148" in printed
    for name in ("report.md", "report.html"):
        assert str(runs / "bare" / "report" / name) in printed


def test_json_is_one_object_on_stdout(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report.main(["bare", "--runs", str(runs), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["trials"]["wanted"] == 1


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("fakee", "'fakee'; did you mean 'fake'? (known: bare, fake, photos)"),
        ("runs/fake", "'runs/fake' is a path: give a name; did you mean 'fake'?"),
        ("../fake", "is a path"),
    ],
)
def test_an_unknown_name_lists_the_studies(runs: Path, given: str, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        report.main([given, "--runs", str(runs)])


def test_without_any_study_the_command_to_run_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"harness\.study"):
        report.main(["fake", "--runs", str(tmp_path)])


def test_a_study_folder_without_its_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"study\.json"):
        build_report(tmp_path)


@pytest.mark.slow
def test_bad_input_ends_with_two_and_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "harness.report", "none", "--runs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_a_note_stands_at_the_top_in_the_summary_and_in_the_command(runs: Path, tmp_path: Path) -> None:
    note = "Not the <b>official</b> images."
    path = publish_report(runs / "photos", tmp_path, note, "elsewhere")
    assert path == tmp_path / "elsewhere" / "report.md"
    text = path.read_text(encoding="utf-8")
    assert text.index("**Not the &lt;b>official&lt;/b> images.**") < text.index("## V1, V2 and the best student")
    assert f"--publish --as elsewhere --note '{note}'" in text
    assert json.loads((path.parent / "summary.json").read_text(encoding="utf-8"))["note"] == note


def test_pictures_without_a_contrast_are_left_out_with_the_reason(tmp_path: Path) -> None:
    """Students of one size have no front, those of one architecture no speeds, and APs of one epoch no curve."""
    data = load(write_study(tmp_path))
    drawn = {picture.name: picture for picture in pictures(data, tables.results(data))}
    assert drawn["speed"].figure is not None
    for record in data.candidates():
        record.params, record.arch = 250_000, ARCHS["v2"].to_dict()
    for record in data.records:
        for info in record.epochs[:-1]:
            info["ap"] = {}
    drawn = {picture.name: picture for picture in pictures(data, tables.results(data))}
    assert drawn["pareto"].figure is None
    assert drawn["pareto"].text == "All students have 250,000 parameters."
    assert drawn["speed"].figure is None
    assert drawn["speed"].text.startswith("All students have one architecture")
    assert drawn["learning_curves"].figure is not None, "pruned students were evaluated after another epoch"
    only = replace(data, records=[record for record in data.records if record.state == "complete"])
    (curves,) = (picture for picture in pictures(only, tables.results(only)) if picture.name == "learning_curves")
    assert curves.figure is None
    assert "after one epoch only" in curves.text
