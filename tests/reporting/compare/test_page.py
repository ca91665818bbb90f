"""Several studies in one report: which trainings are averaged, the intervals of differences, and the files."""

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from harness.core.arch import ARCHS
from harness.core.record import TrialRecord
from harness.core.sealed import read_sealed, write_sealed
from harness.core.space import Choice, SearchSpace
from harness.errors import DataError, InputError
from harness.evaluation.stats import spread
from harness.reporting.audit.page import audit_page
from harness.reporting.compare import Comparison, compare, read_studies, summary, write_comparison
from harness.reporting.compare.data import Group
from harness.reporting.compare.findings import differing, findings, headline
from harness.reporting.compare.pictures import pictures_of
from harness.reporting.compare.read import training
from harness.reporting.compare.recall import recall_findings, recalls
from harness.reporting.compare.tables import distillation, networks, pairs
from harness.reporting.format import bounds, points
from tests import fake_comparison
from tests.fake_diagnosis import diagnosis, moment, student

pytestmark = pytest.mark.slow

RESAMPLES = 100
PICTURES = ("aps", "parameters", "differences", "recall", "seconds")
COMMAND = "python -m harness.compare one other"


def quiet(what: str, done: int, total: int) -> None:
    assert done <= total, what


def compared(runs: Path, *names: str) -> Comparison:
    return compare(read_studies(names, runs), runs, None, {}, RESAMPLES, quiet)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    runs = tmp_path_factory.mktemp("runs")
    faces = fake_comparison.write_images(runs)
    fake_comparison.write_study(runs, faces, "one")
    fake_comparison.write_study(runs, faces, "other", teacher="featherface", skills=(0.6, 0.85))
    fake_comparison.write_study(runs, faces, "longer", epochs=9, skills=(), source="/home/me/WIDER")
    return runs


@pytest.fixture(scope="module")
def found(runs: Path) -> Comparison:
    return compared(runs, "one", "other")


def group(found: Comparison, name: str) -> Group:
    return next(group for group in found.groups if group.name == name)


def copied(runs: Path, target: Path, *names: str) -> Path:
    """Return a copy of some studies, to be changed."""
    for name in (*names, "cache"):
        shutil.copytree(runs / name, target / name)
    return target


def change(path: Path, **values: object) -> None:
    write_sealed(path, read_sealed(path) | values)


def test_trainings_that_differ_only_in_seed_are_one_row(found: Comparison) -> None:
    assert {g.name: len(g.members) for g in found.groups if g.kind != "student"} == {
        "V1": 1,
        "FeatherFace": 1,
        "V2 alone": 3,
        "V2 from V1": 3,
        "V2 from FeatherFace": 3,
    }
    students = {g.name: [m.record.label for m in g.members] for g in found.groups if g.kind == "student"}
    assert students == {
        "0001 from FeatherFace": ["0001", "0001-s2", "0001-s3"],
        "0001 from V1": ["0001", "0001-s2", "0001-s3"],
    }
    assert {name: group.name for name, group in found.best.items()} == {
        "one": "0001 from V1",
        "other": "0001 from FeatherFace",
    }


def test_a_student_is_included_only_if_the_search_selected_it(runs: Path, tmp_path: Path, found: Comparison) -> None:
    assert "Networks of `one` that are left out: 3 not selected by the search." in found.remarks
    copied(runs, tmp_path, "one")
    trials = tmp_path / "one" / "trials"
    record = TrialRecord.load(trials / "0000")
    graded = TrialRecord.load(trials / "0001")
    record.ap, record.protocol = graded.ap, graded.protocol
    record.save(trials / "0000")
    again = compared(tmp_path, "one")
    assert "0000 from V1" not in {g.name for g in again.groups}, "it was the best student once, and is no more"
    for label in ("0001", "0001-s2", "0001-s3"):
        shutil.rmtree(trials / label)
    shutil.copy(trials / "v2" / "predictions.npz", trials / "0002" / "predictions.npz")
    change(trials / "0002" / "record.json", ap=TrialRecord.load(trials / "v2").ap, protocol=graded.protocol)
    assert compared(tmp_path, "one").best["one"].record.label == "0002", "the next by search AP"


def test_a_group_s_ap_is_the_mean_of_the_records(found: Comparison) -> None:
    three = group(found, "V2 from V1")
    values = [member.record.ap["mean"] for member in three.members]
    assert three.ap.value["mean"] == pytest.approx(sum(v or 0 for v in values) / 3)
    interval = three.ap.interval("mean")
    assert interval is not None
    assert interval.low < (three.ap.value["mean"] or 0) < interval.high
    row = networks(found).set_index("network").to_dict("index")["V2 from V1"]
    deviation = spread([v or 0 for v in values]) or 0
    assert re.fullmatch(
        rf"{100 * (three.ap.value['mean'] or 0):.1f} ± {100 * deviation:.1f} \[\d\d\.\d, \d\d\.\d\]",
        str(row["AP mean, %"]),
    )
    assert (row["distillation"], row["seeds"], row["against budget"]) == ("T 4, α 0.7, λ 0", "3", "+8")
    assert row["training, min"] == "2.0", "four epochs of 30 seconds, the mean over seeds"
    record = replace(three.record, distill={**three.record.distill, "conditional": True})
    assert distillation(replace(three, members=(replace(three.members[0], record=record),))).endswith(", conditional")


def test_a_training_in_two_studies_counts_once(found: Comparison) -> None:
    assert group(found, "V2 alone").studies == ["one"]
    assert found.remarks[-1] == (
        "V2 alone: `other/v2-alone`, `other/v2-alone-s2`, `other/v2-alone-s3` duplicate a training of an earlier "
        "study, seed included, and are not counted."
    )


def test_another_schedule_is_never_averaged_and_is_named(runs: Path) -> None:
    found = compared(runs, "one", "longer")
    names = [g.name for g in found.groups if g.kind == "reference"]
    assert names == ["V2 alone (longer)", "V2 alone (one)", "V2 from V1 (longer)", "V2 from V1 (one)"]
    said = " ".join(differing(found))
    assert "`longer` against `one`: epochs 9 instead of 4, trials 0 instead of 4." in said
    assert "their trainings are never averaged" in said
    apart = {pair.name: pair.apart for pair in found.pairs if pair.apart}
    assert apart == {
        "V2 alone (one) − V2 alone (longer)": "epochs 4 instead of 9",
        "V2 from V1 (one) − V2 from V1 (longer)": "epochs 4 instead of 9",
    }, "everything else was compared with what was trained alike"
    assert "The best student of `one`, 0001 from V1, has 241,000 parameters (15,148 under the budget)" in headline(
        found
    )


def test_a_pair_that_was_trained_differently_says_how(runs: Path, tmp_path: Path) -> None:
    copied(runs, tmp_path, "one", "longer")
    for label in ("v2", "v2-s2", "v2-s3"):
        shutil.rmtree(tmp_path / "longer" / "trials" / label)
    for label in ("v2-alone", "v2-alone-s2", "v2-alone-s3"):
        shutil.rmtree(tmp_path / "one" / "trials" / label)
    found = compared(tmp_path, "one", "longer")
    pair = found.pairs[0]
    assert (pair.name, pair.apart) == ("V2 from V1 − V2 alone", "epochs 4 instead of 9")
    assert "Their trainings also differ in: epochs 4 instead of 9." in findings(found)[0]


def test_two_protocols_are_refused_by_name(runs: Path, tmp_path: Path) -> None:
    copied(runs, tmp_path, "one", "other")
    for path in (tmp_path / "other" / "trials").glob("*/record.json"):
        protocol = json.loads(path.read_text(encoding="utf-8"))["protocol"] | {"nms_iou": 0.5}
        change(path, protocol=protocol)
    change(tmp_path / "other" / "study.json", protocol=protocol)
    with pytest.raises(InputError, match=r"two protocols.*other/featherface \(nms_iou 0\.5 instead of 0\.4\)"):
        compared(tmp_path, "one", "other")


def test_all_pairs_of_interest_are_compared(found: Comparison) -> None:
    assert [pair.name for pair in found.pairs] == [
        "V2 from FeatherFace − V2 alone",
        "V2 from V1 − V2 alone",
        "V2 from V1 − V2 from FeatherFace",
        "0001 from V1 − V2 from V1",
        "0001 from V1 (other seeds) − V2 from V1",
        "0001 from FeatherFace − V2 from FeatherFace",
        "0001 from FeatherFace (other seeds) − V2 from FeatherFace",
        "V2 alone − V1",
        "V2 from FeatherFace − FeatherFace",
        "V2 from V1 − V1",
        *(f"{g.name} − {g.taught_by}" for g in found.of_kind("student") if g in found.best.values()),
    ]
    first = found.pairs[0]
    one, other = (np.mean([m.record.ap["mean"] for m in side.members]) for side in (first.one, first.other))
    assert first.ap.value["mean"] == pytest.approx(one - other)
    assert first.over_seeds("mean") is not None
    against_teacher = found.pairs[-1]
    assert against_teacher.over_seeds("mean") is None
    assert pairs(found)["AP mean, over seeds"].iloc[-1] == "–"


def test_sentences_give_the_intervals_of_a_difference(found: Comparison) -> None:
    for pair, sentence in zip(found.pairs, findings(found), strict=False):
        images, seeds = pair.ap.interval("mean"), pair.over_seeds("mean")
        assert images is not None
        points_apart = round(100 * (pair.ap.value["mean"] or 0), 1)
        apart = (
            f"{abs(points_apart)} points {'above' if points_apart > 0 else 'below'}" if points_apart else "level with"
        )
        assert sentence.startswith(f"{pair.one.name} is {apart} {pair.other.name} in mean AP;")
        assert f"interval over images {bounds(images, points)}" in sentence
        if seeds is None:
            assert "seed variance was not measured" in sentence
            assert ("does not explain it" in sentence) == images.excludes_zero
            continue
        assert f"against {len(pair.other.members)}) {bounds(seeds, points)}." in sentence
        verdict = {
            (True, True): "Neither the choice of images nor seed variance explains it.",
            (True, False): "The choice of images does not explain it; seed variance may.",
            (False, True): "Seed variance does not explain it; the choice of images may.",
            (False, False): "There may be no difference.",
        }[images.excludes_zero, seeds.excludes_zero]
        assert sentence.endswith(verdict)
    assert "ptimistic" not in " ".join(findings(found)), "the validation images took no part in selection"


def test_the_selected_training_is_reported_with_the_other_seeds(found: Comparison) -> None:
    best = found.best["one"]
    first, *others = [100 * (member.record.ap["mean"] or 0) for member in best.members]
    (sentence,) = [
        s for s in findings(found) if s.startswith("The search of `one` selected 0001 from V1 among 4 students")
    ]
    assert f"by the search AP of its first training, {100 * (best.record.search_ap['mean'] or 0):.1f} %" in sentence
    assert f"has a mean AP of {first:.1f} %" in sentence
    assert f"with other seeds: {others[0]:.1f}, {others[1]:.1f} % (mean {sum(others) / 2:.1f} %)." in sentence


def test_seed_variance_is_pooled_over_the_groups(found: Comparison) -> None:
    repeated = [[m.record.ap["mean"] or 0 for m in g.members] for g in found.groups if len(g.members) > 1]
    deviation = np.sqrt(np.mean([np.var(aps, ddof=1) for aps in repeated]))
    sentence = next(s for s in findings(found) if s.startswith("Trainings of one network with different seeds"))
    assert f"{100 * deviation:.1f} points of mean AP (10 degrees of freedom)" in sentence
    assert summary(found)["noise"]["sd"] == pytest.approx(deviation)


def test_a_best_student_without_repeats_has_one_figure(runs: Path, tmp_path: Path) -> None:
    copied(runs, tmp_path, "one")
    for label in ("0001-s2", "0001-s3"):
        shutil.rmtree(tmp_path / "one" / "trials" / label)
    (sentence,) = [s for s in findings(compared(tmp_path, "one")) if s.startswith("The search of `one` selected")]
    assert "other seeds" not in sentence


def test_unfinished_networks_are_counted_and_left_out(runs: Path, tmp_path: Path) -> None:
    copied(runs, tmp_path, "one")
    change(tmp_path / "one" / "trials" / "0000" / "record.json", state="pruned")
    change(tmp_path / "one" / "trials" / "0003" / "record.json", state="failed", ap={})
    found = compared(tmp_path, "one")
    assert found.remarks == ["Networks of `one` that are left out: 1 pruned, 1 not selected by the search, 1 failed."]
    assert "0000 from V1" not in {g.name for g in found.groups}


def test_wider_face_images_and_a_search_split_for_the_epoch_are_mentioned(runs: Path, tmp_path: Path) -> None:
    copied(runs, tmp_path, "longer")
    for label in ("v2", "v2-s2", "v2-s3", "v2-alone", "v2-alone-s2", "v2-alone-s3"):
        record = TrialRecord.load(tmp_path / "longer" / "trials" / label)
        change(tmp_path / "longer" / "trials" / label / "record.json", train={**record.train, "patience": 2})
    found = compared(tmp_path, "longer")
    assert found.of_kind("reference")[0].training["search split"] == "3c8d10fae2b96a75"
    text = write_comparison(found, tmp_path / "report", COMMAND, public=False).read_text(encoding="utf-8")
    assert "not with published WIDER FACE tables" in text


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ({"kind": "random", "digest": None}, "random numbers"),
        ({"kind": "teacher", "digest": "af852e817885"}, "af852e817885"),
        ({"kind": "file", "digest": "0123456789ab"}, "0123456789ab"),
    ],
)
def test_the_start_of_the_backbones_is_part_of_the_training(
    runs: Path, tmp_path: Path, start: dict[str, str | None], words: str
) -> None:
    copied(runs, tmp_path, "longer")
    change(tmp_path / "longer" / "study.json", start=start)
    assert training(read_studies(["longer"], tmp_path)[0], {})["backbone starts from"] == words


def test_recall_shows_where_students_are_behind(found: Comparison) -> None:
    frame = recalls(found).set_index("value")
    assert list(frame.index) == ["8–16 px", "16–32 px", "32–64 px", "64–128 px", "128 px and more"]
    teacher, student = group(found, "V1"), group(found, "V2 from V1")
    mask = found.faces["size"]["8–16 px"]
    assert frame["V1"].iloc[0] == pytest.approx(teacher.members[0].found[mask].mean())
    assert frame["V2 from V1"].iloc[0] == pytest.approx(np.mean([m.found[mask].mean() for m in student.members]))
    assert frame["V1"].iloc[0] > frame["V2 from V1"].iloc[0]
    hard = np.logical_or.reduce(list(found.faces["size"].values()))
    missed = int((~teacher.members[0].found[hard]).sum())
    said = recall_findings(found)
    assert f"The teacher V1 misses {missed:,} of {hard.sum():,} faces" in said[0]
    lost = np.mean([(teacher.members[0].found & ~m.found)[hard].sum() for m in student.members])
    assert any(f"V2 from V1 misses {round(lost):,} faces that V1 finds" in sentence for sentence in said)
    assert any(sentence.startswith("Against V2 alone, the recall of V2 from V1 changes by") for sentence in said)


def test_predictions_that_are_not_the_record_s_are_refused(runs: Path, tmp_path: Path) -> None:
    copied(runs, tmp_path, "one")
    trials = tmp_path / "one" / "trials"
    shutil.copy(trials / "v1" / "predictions.npz", trials / "v2" / "predictions.npz")
    with pytest.raises(DataError, match=r"v2/predictions\.npz gives 0\.\d+ as AP easy, its record says"):
        compared(tmp_path, "one")
    (trials / "v2" / "predictions.npz").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"v2/predictions\.npz is not a readable detections file"):
        compared(tmp_path, "one")
    (trials / "v2" / "predictions.npz").unlink()
    with pytest.raises(DataError, match=r"v2/predictions\.npz is missing"):
        compared(tmp_path, "one")


def test_without_its_images_a_study_says_how_to_get_them(runs: Path, tmp_path: Path) -> None:
    shutil.copytree(runs / "one", tmp_path / "one")
    with pytest.raises(
        DataError, match=r"the validation images of one .* give their --ground-truth, or make them again"
    ):
        compared(tmp_path, "one")


def test_names_are_checked(runs: Path) -> None:
    with pytest.raises(
        InputError, match=r"unknown study in .*'ones'; did you mean 'one'\? \(known: longer, one, other\)"
    ):
        read_studies(["ones"], runs)
    with pytest.raises(InputError, match="study 'one' is given twice"):
        read_studies(["one", "one"], runs)
    with pytest.raises(InputError, match="no study in"):
        read_studies(["one"], runs / "cache")


def test_a_study_without_any_ap_has_nothing_to_compare(runs: Path, tmp_path: Path) -> None:
    copied(runs, tmp_path, "one")
    shutil.rmtree(tmp_path / "one" / "trials")
    with pytest.raises(InputError, match="nothing to compare: no network of one has a validation AP yet"):
        compared(tmp_path, "one")


def test_a_lone_teacher_has_a_report(runs: Path, tmp_path: Path) -> None:
    copied(runs, tmp_path, "one")
    for path in (tmp_path / "one" / "trials").iterdir():
        if path.name != "v1":
            shutil.rmtree(path)
    found = compared(tmp_path, "one")
    text = write_comparison(found, tmp_path / "report", COMMAND, public=False).read_text(encoding="utf-8")
    assert "No student of a search has been graded." in text
    assert "There are no two networks to compare." in text


@pytest.fixture(scope="module")
def published(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    reports = tmp_path_factory.mktemp("reports")
    found = compared(runs, "one", "longer")
    return write_comparison(found, reports / "both", f"{COMMAND} --publish both", "Not official.", public=True)


def test_the_folder_is_whole(published: Path, runs: Path) -> None:
    text = published.read_text(encoding="utf-8")
    names = {path.name for path in published.parent.iterdir()}
    assert names == {"report.md", "report.html", "results.csv", "summary.json", *(f"{name}.png" for name in PICTURES)}
    assert {p.name for p in published.parent.parent.iterdir()} == {"both"}
    assert all((published.parent / name).is_file() for name in re.findall(r"\]\(([^)#]+)\)", text))
    assert "\n\n\n" not in text
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    assert sum(token.type == "table_open" for token in tokens) == 5
    assert text.index("**Not official.**") < text.index("## Networks")
    trained = [
        TrialRecord.load(path.parent) for path in runs.glob("*/trials/*/record.json") if "other" not in path.parts
    ]
    graded = [record for record in trained if record.ap]
    with (published.parent / "results.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(graded) - 1, "the teacher is in both studies"
    assert {row["group"] for row in rows} >= {"V1", "V2 alone (one)", "0001 from V1"}


def test_a_teacher_that_was_trained_here_has_a_learning_curve(found: Comparison) -> None:
    record = group(found, "V1").record
    ap = {"easy": 0.5, "medium": 0.4, "hard": 0.3, "mean": 0.4}
    try:
        record.epochs = [{"epoch": n, "losses": {"box": 2.0 / n, "class": 1.0}, "ap": ap} for n in (1, 2)]
        drawn = {picture.name: picture for picture in pictures_of(found)}
    finally:
        record.epochs = []
    assert set(drawn) == {*PICTURES, "learning-v1"}
    figure = drawn["learning-v1"].figure
    assert figure is not None
    legends = [legend for axes in figure.axes if (legend := axes.get_legend()) is not None]
    labels = {text.get_text() for legend in legends for text in legend.get_texts()}
    assert labels == {"box", "class", "easy", "medium", "hard", "mean"}


def test_diagnoses_are_included(runs: Path, found: Comparison, tmp_path: Path) -> None:
    folder = runs / "one" / "diagnosis"
    folder.mkdir()
    (folder / "diagnosis.json").write_text(json.dumps(diagnosis(v2=student(moment(0.4), moment(-0.5)))))
    try:
        report = write_comparison(found, tmp_path / "both", COMMAND, public=True)
    finally:
        shutil.rmtree(folder)
    text = report.read_text(encoding="utf-8")
    assert "distill_class opposes it (−0.50)" in text
    assert text.rstrip().endswith(f"python -m harness.diagnose mini\n{COMMAND}\n```")
    page = (tmp_path / "both" / "diagnosis-one.md").read_text(encoding="utf-8")
    for place, source in ((text, "gradients-one.png"), (text, "diagnosis-one.md"), (page, "gradients-one.png")):
        assert f"]({source})" in place
        assert (tmp_path / "both" / source).stat().st_size > 0


def test_a_published_report_has_no_paths_and_its_commands(published: Path) -> None:
    for path in published.parent.iterdir():
        if path.suffix != ".png":
            assert "/home/me" not in path.read_text(encoding="utf-8")
    assert published.read_text(encoding="utf-8").endswith(
        "```sh\n"
        "python -m harness.study --data synthetic --name one\n"
        "python -m harness.study --data PATH/TO/WIDERFACE --name longer\n"
        "python -m harness.compare one other --publish both\n"
        "```\n"
    )


def test_a_second_report_replaces_it_byte_for_byte(published: Path, runs: Path) -> None:
    before = {p.name: p.read_bytes() for p in published.parent.iterdir()}
    (published.parent / "stale.png").touch()
    found = compared(runs, "one", "longer")
    write_comparison(found, published.parent, f"{COMMAND} --publish both", "Not official.", public=True)
    assert {p.name: p.read_bytes() for p in published.parent.iterdir()} == before


def test_the_summary_is_plain_data_with_every_difference(found: Comparison) -> None:
    plain = json.loads(json.dumps(summary(found), allow_nan=False))
    assert plain["studies"] == ["one", "other"]
    assert [p["one"] for p in plain["pairs"]] == [p.one.name for p in found.pairs]
    first = plain["pairs"][0]
    low, high = first["ap"]["mean"]["interval"]
    assert low <= first["ap"]["mean"]["value"] <= high
    assert first["seeds"] == [3, 3]
    assert plain["best"] == {"one": "0001 from V1", "other": "0001 from FeatherFace"}
    assert len(plain["recall"]) == 5


def test_the_audit_page_ignores_comparisons_among_the_reports(published: Path) -> None:
    space = SearchSpace("tiny", "for this test", ARCHS["v2"], (Choice("neck.repeats", (1, 2)),))
    assert "`both`" not in audit_page(space, published.parent.parent)
