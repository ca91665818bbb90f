from dataclasses import replace
from pathlib import Path

import pytest

from harness.reporting.study.data import StudyData, load
from harness.reporting.study.findings import findings, headline, worth
from harness.reporting.study.method import method
from tests.reporting.fake_study import write_study


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return load(write_study(tmp_path_factory.mktemp("runs")))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return load(write_study(tmp_path_factory.mktemp("runs"), seeds=3))


def test_the_headline_says_what_was_searched_and_found(data: StudyData) -> None:
    said = headline(data)
    for words in ("`fake_light`", "2,592 configurations", "budget of 256,148 parameters", "tpe"):
        assert words in said
    assert "Of 12 students, 9 were trained to the end, 2 were stopped early and 1 failed." in said
    assert "Mean AP on the validation images: V1 78.0 %, V2 65.0 %, best (0010) 66.1 %." in said


def test_findings_are_computed_from_the_records(data: StudyData) -> None:
    said = " ".join(findings(data))
    for words in (
        "Trial 0010, with 5,721 fewer parameters, is 1.1 points above V2 in mean validation AP",
        "V2's mean search AP, 68.0 %, is reached by 1 of 9 students.",
        "11.9 points below the teacher in mean validation AP",
        "Mean search AP of the students trained to the end: 56.0 to 69.1 %",
        "Pruning saved 4 of 8 epochs",
        "rejected before they became trials: 31 over the budget, 2 not buildable.",
        "`attention.name`",
    ):
        assert words in said
    assert "over seeds" not in said


def test_seeds_give_a_difference_its_interval(seeds: StudyData) -> None:
    (sentence,) = [s for s in findings(seeds) if "above V2" in s]
    # Validation APs: 66.1, 65.1, 66.6 and 65, 64, 65.5; Welch: 1.06 ± 2.776 · √(2 · 0.007638² / 3).
    assert sentence.endswith(
        ", over 3 trainings and 3; 95 % interval over seeds [−0.7, +2.8]. Seed variance may explain it."
    )
    assert "V2 64.8 ± 0.8 %, best (0010) 65.9 ± 0.8 %." in headline(seeds)


def test_seed_variance_is_measured_or_said_to_be_missing(data: StudyData, seeds: StudyData) -> None:
    assert worth(data)[0].startswith("Seed variance was not measured: every network was trained once.")
    deviation, least, tied, rounding = worth(seeds)
    assert "1.5 points of mean search AP (4 degrees of freedom) and 0.8 points of mean validation AP" in deviation
    assert "up to 6.0 points of mean search AP and 3.0 points of mean validation AP" in least
    assert tied.startswith(
        "Students that tie with trial 0010 (search AP 69.1 %), since they are within that difference: 0000 (67.2"
    )
    assert "0011" not in tied, "9.1 points below"
    assert "on another machine, the same command may select another student" in rounding


def test_no_student_ties_with_one_far_ahead(seeds: StudyData) -> None:
    ahead: dict[str, float | None] = {"easy": 0.99, "medium": 0.99, "hard": 0.99, "mean": 0.99}
    records = [replace(r, search_ap=ahead) if r.label == "0010" else r for r in seeds.records]
    records = [replace(r, search_ap=ahead) if r.repeat_of == "0010" else r for r in records]
    assert "No other student is within that difference of trial 0010 (search AP 99.0 %)." in worth(
        replace(seeds, records=records)
    )


def test_wider_face_images_have_their_caveat(tmp_path: Path, data: StudyData) -> None:
    said = " ".join(method(load(write_study(tmp_path, source="data/widerface"))))
    assert "not with published WIDER FACE tables" in said
    assert "WIDER FACE copy" not in " ".join(method(data))


def test_search_and_validation_protocols_are_both_told(data: StudyData) -> None:
    said = " ".join(method(data))
    for words in ("search split `3c8d10fae2b96a75`), 300 images", "validation images `9f2c5a1be07d4c33`), 400 images"):
        assert words in said


def test_figures_that_were_not_measured_have_no_sentence(tmp_path: Path) -> None:
    data = load(write_study(tmp_path, trials=0, references=False))
    assert "no student has a search AP" in headline(data)
    assert len(findings(data)) == 2
    alone = load(write_study(tmp_path, "alone", trials=3, references=False))
    said = " ".join([headline(alone), *findings(alone)])
    assert "V2" not in said
    assert "teacher" not in said


def test_a_missing_ap_is_not_zero(data: StudyData) -> None:
    records = [replace(r, ap={**r.ap, "mean": None}) if r.label == "v2" else r for r in data.records]
    said = " ".join([headline(replace(data, records=records)), *findings(replace(data, records=records))])
    assert "above V2" not in said
    assert "V2 0.0 %" not in said
    nothing = [replace(r, search_ap={**r.search_ap, "mean": None}) for r in data.records]
    assert replace(data, records=nothing).best is None


def test_several_objectives_have_their_front(data: StudyData) -> None:
    """A student is on the front if none has as high an AP with as few parameters."""
    config = replace(data.study.config, objectives=("ap", "params"), pruner="none")
    several = replace(data, study=replace(data.study, config=config))
    (sentence,) = [said for said in findings(several) if "Pareto" in said]
    wanted = [
        one.label
        for one in data.ranked
        if not any(
            (other.search_ap["mean"] or 0) >= (one.search_ap["mean"] or 0) and other.params <= one.params
            for other in data.ranked
            if other is not one
        )
    ]
    assert 1 < len(wanted) < 9
    assert sentence.startswith(f"Pareto front of ap, params: {len(wanted)} of 9 students, {wanted[0]} (69.1 %, ")
    assert f" to {wanted[-1]} (" in sentence
    assert not [said for said in findings(data) if "Pareto" in said]


def test_an_unfinished_study_says_so_first(data: StudyData) -> None:
    assert not headline(data).startswith("**Unfinished")
    running = replace(data, records=data.records[:-3])
    assert headline(running).startswith("**Unfinished: 9 of 12 trials have ended.** ")
