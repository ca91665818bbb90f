import random
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from harness.core.arch import ARCHS, in_stages, part
from harness.core.record import TrialRecord
from harness.core.sealed import read_sealed, write_sealed
from harness.errors import DataError, InputError
from harness.reporting.format import markdown
from harness.reporting.study import tables
from harness.reporting.study.data import StudyData, load
from harness.reporting.study.findings import findings
from harness.reporting.study.pictures import pictures
from tests.reporting.fake_study import EASIER, write_study


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return load(write_study(tmp_path_factory.mktemp("runs")))


def test_documented_and_measured_stand_side_by_side(data: StudyData) -> None:
    frame = tables.comparison(data).set_index("")
    assert list(frame.columns) == [
        "V1 documented",
        "V1 measured",
        "V2 documented",
        "V2 measured",
        "best (0010) measured",
    ]

    def of(row: str, column: str) -> object:
        return frame[column][row]

    assert (of("parameters", "V1 documented"), of("parameters", "V1 measured")) == ("487,103", "487,103")
    assert (of("parameters", "V2 documented"), of("parameters", "V2 measured")) == ("256,148", "256,156")
    assert (of("· attention", "V1 documented"), of("· attention", "V1 measured")) == ("22,184", "4,925")
    assert (of("fewer than V1, %", "V2 documented"), of("fewer than V1, %", "V2 measured")) == ("47.2", "47.4")
    assert (of("against budget", "V1 measured"), of("against budget", "V2 measured")) == ("+230,955", "+8")
    assert (of("AP easy, %", "V1 documented"), of("AP easy, %", "V2 documented")) == ("~87", "92+")
    assert of("AP mean, %", "V1 measured") == "78.0"
    assert (of("FPS against V1", "V2 documented"), of("FPS against V1", "V2 measured")) == ("1.50 ×", "1.38 ×")


def test_students_from_slices_are_compared_with_v2_from_its_slices(data: StudyData) -> None:
    v2 = data.named("v2")
    assert v2 is not None
    inherited = replace(v2, label="v2-shared", inherits=True, ap={**v2.ap, "mean": 0.655})
    students = [replace(r, inherits=True) if r.role == "candidate" else r for r in data.records]
    shared = replace(data, records=[*students, inherited])
    frame = tables.comparison(shared).set_index("")
    assert list(frame.columns)[-3:] == ["V2 measured", "V2 from slices measured", "best (0010) measured"]
    # Validation APs: V2 65.0, V2 from slices 65.5, best 66.1.
    assert list(frame.loc["above V2, points"])[-3:] == ["–", "+0.5", "+1.1"]
    assert list(frame.loc["above V2 from slices, points"])[-3:] == ["–", "–", "+0.6"]
    assert "above V2 from slices, points" not in tables.comparison(data)[""].tolist()
    said = " ".join(findings(shared))
    assert "V2 trained from its slices of the shared weights, as the students are, is 0.5 points above V2" in said
    assert "By its design, trial 0010 is 0.6 points above V2 from slices in mean validation AP" in said


def test_v2_without_a_teacher_has_a_column_of_its_own(data: StudyData) -> None:
    v2 = data.named("v2")
    assert v2 is not None
    alone = replace(v2, label="v2-alone", distill={}, ap={**v2.ap, "easy": 0.123})
    both = replace(data, records=[*data.records, alone])
    assert list(tables.comparison(both).columns)[-3:] == ["V2 measured", "V2 alone measured", "best (0010) measured"]
    only = replace(data, records=[r for r in both.records if r.label != "v2" and r.role != "candidate"])
    frame = tables.comparison(only).set_index("")
    assert list(frame.columns) == ["V1 documented", "V1 measured", "V2 documented", "V2 alone measured"]
    assert frame["V2 alone measured"]["AP easy, %"] == "12.3"
    for shown, bars in ((both, ["V1", "V2", "best (0010)"]), (only, ["V1", "V2 alone"])):
        figure = next(
            picture.figure for picture in pictures(shown, tables.results(shown)) if picture.file == "parts.png"
        )
        assert figure is not None
        assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == bars


def test_the_ranking_holds_candidates_only_and_references_stand_apart(data: StudyData) -> None:
    frame = tables.trials(data)
    ranked = frame[frame["rank"].str.isdigit()]
    assert ranked["trial"].str.fullmatch(r"\d{4}").all()
    values = ranked["search AP mean, %"].astype(float)
    assert values.is_monotonic_decreasing
    assert frame.set_index("trial").loc[["v1", "v2"], "rank"].tolist() == ["teacher", "reference"]
    assert frame.set_index("trial").loc["v2", "against budget"] == "+8"


def test_a_trial_is_described_by_its_differences_from_v2(data: StudyData) -> None:
    named = {record.label: tables.difference_from_v2(record, data) for record in data.records}
    assert named["v2"] == "nothing"
    assert named["v1"] == "the arch `v1`"
    assert named["0010"] == "attention=eca; head.trunk=depthwise"
    alone = replace(data.candidates("complete")[0], distill={})
    assert "no teacher" in tables.difference_from_v2(alone, data)
    other = replace(data.candidates("complete")[0], train={**asdict(data.study.config.train), "crops": "scrfd"})
    assert "train.crops=scrfd" in tables.difference_from_v2(other, data)
    v2 = in_stages(ARCHS["v2"])
    thin = part(v2.backbone.name, **v2.backbone.option_dict() | {"width_p5": 96, "depth_p5": 1})
    searched = [v2, replace(v2, backbone=thin)]
    reference = next(record for record in data.records if record.label == "v2")
    staged = [replace(reference, arch=arch.to_dict()) for arch in searched]
    assert [tables.difference_from_v2(record, data) for record in staged] == [
        "nothing",
        "backbone.depth_p5=1; backbone.width_p5=96",
    ]


def test_networks_not_trained_to_the_end_keep_their_reason(data: StudyData) -> None:
    frame = tables.unfinished(data).set_index("trial")
    assert frame["state"].tolist() == ["pruned", "failed", "pruned"]
    assert "class=3.1" in str(frame["reason"]["0006"])


def test_results_have_one_row_per_network_and_full_precision(data: StudyData) -> None:
    frame = tables.results(data)
    assert len(frame) == 14
    row = frame.set_index("label").loc["v2"]
    assert (row["params"], row["over_budget"], row["params_attention"]) == (256_156, 8, 6_600)
    assert row["ap_mean"] == pytest.approx(0.65)
    assert row["search_ap_mean"] == pytest.approx(0.65 + EASIER)
    for name, labels in (("search_protocol", 11), ("protocol", 3)):
        used = getattr(data.study, name)["digest"]
        assert frame[name].value_counts()[used] == labels
        assert set(frame[name]) == {used, ""}
    assert frame.set_index("label")["ap_mean"].notna().sum() == 3, "V1, V2 and the best student were graded"
    parts = frame[[name for name in frame.columns if name.startswith("params_")]].sum(axis=1)
    assert (parts == frame["params"]).all()


def test_two_protocols_in_one_column_are_refused(data: StudyData) -> None:
    other = replace(data.candidates("complete")[0], search_protocol={**data.study.search_protocol, "nms_iou": 0.3})
    records = [other if record.label == other.label else record for record in data.records]
    for table in (tables.results, tables.trials):
        with pytest.raises(InputError, match=rf"{other.label} \(nms_iou 0.3 instead of 0.4\)"):
            table(replace(data, records=records))
    best = replace(data.best or other, protocol={**data.study.protocol, "eval_side": 320})
    records = [best if record.label == best.label else record for record in data.records]
    with pytest.raises(InputError, match="eval_side 320 instead of 0"):
        tables.comparison(replace(data, records=records))


@pytest.mark.parametrize("name", ["search_protocol", "protocol"])
def test_a_record_of_another_protocol_leaves_the_tables_and_is_named(tmp_path: Path, name: str) -> None:
    folder = write_study(tmp_path)
    record = TrialRecord.load(folder / "trials" / "0010")
    setattr(record, name, {**getattr(record, name), "score_threshold": 0.3, "digest": "other"})
    record.save(folder / "trials" / "0010")
    data = load(folder)
    assert data.foreign == {"0010": "score_threshold 0.3 instead of 0.02"}
    assert data.best is not None
    assert data.best.label != "0010"


def test_a_reason_cannot_break_a_markdown_table() -> None:
    text = markdown(pd.DataFrame([{"trial": "1", "reason": "a | b\nc"}]), text=("reason",))
    assert text.splitlines() == ["| trial | reason |", "| :--- | :--- |", "| 1 | a \\| b c |"]


def test_the_terminal_table_fits_eighty_columns(tmp_path: Path) -> None:
    console = Console(width=80, record=True, file=(tmp_path / "out").open("w"))
    console.print(tables.terminal_table(write_study(tmp_path / "runs")))
    text = console.export_text()
    assert "…" not in text
    assert "`" not in text
    for words in ("256,148", "256,156", "487,103", "best (0010)", "92+", "+8", "Trial 0010, with"):
        assert words in text
    console.file.close()


def test_a_study_of_a_version_without_search_split_is_refused(tmp_path: Path) -> None:
    folder = write_study(tmp_path)
    study = read_sealed(folder / "study.json")
    del study["search_protocol"]
    write_sealed(folder / "study.json", study)
    with pytest.raises(
        DataError,
        match=r"study\.json was written by another version of the harness: run the study again under another --name",
    ):
        load(folder)


FILES = ("study.json", "trials/0003/record.json", "importance.json", "examples.npz")
BROKEN = {
    "cut off": b"{",
    "no object": b"[1]",
    "nested": b"[" * 100_000,
    "no text": b"\xff\xfe",
    "no number": b'{"a": NaN}',
}


@pytest.mark.parametrize("how", [*BROKEN, "a folder"])
@pytest.mark.parametrize("name", FILES)
def test_a_broken_file_is_named(tmp_path: Path, name: str, how: str) -> None:
    path = write_study(tmp_path) / name
    path.unlink()
    if how in BROKEN:
        path.write_bytes(BROKEN[how])
    else:
        path.mkdir()
    with pytest.raises(DataError, match=name) as refused:
        load(tmp_path / path.relative_to(tmp_path).parts[0])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("study.json", {"workers": "two"}),
        ("study.json", {"standing": []}),
        ("study.json", {"config": {"name": "x"}}),
        ("trials/0003/record.json", {"epochs": "many"}),
        ("trials/0003/record.json", {"search_ap": {"mean": "high"}}),
        ("trials/0003/record.json", {"state": "done"}),
        ("importance.json", {"neck.channels": "much"}),
    ],
)
def test_values_of_another_type_are_named(tmp_path: Path, name: str, change: dict[str, object]) -> None:
    """Also in a file whose digest is right."""
    folder = write_study(tmp_path)
    write_sealed(folder / name, read_sealed(folder / name) | change)
    with pytest.raises(DataError, match=name):
        load(folder)


@pytest.mark.parametrize("name", FILES)
def test_no_flipped_bit_changes_a_report_in_silence(tmp_path: Path, name: str) -> None:
    folder, draw = write_study(tmp_path), random.Random(0)
    for path in FILES[:3]:
        write_sealed(folder / path, read_sealed(folder / path))
    whole, before, refused = (folder / name).read_bytes(), load(folder), 0
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[draw.randrange(len(whole))] ^= 1 << draw.randrange(8)
        (folder / name).write_bytes(damaged)
        try:
            found = load(folder)
        except DataError:
            refused += 1
        else:
            assert (found.study, found.records, found.importance) == (before.study, before.records, before.importance)
            for one, other in zip(found.examples, before.examples, strict=True):
                assert np.array_equal(one.image, other.image)
                assert np.array_equal(one.truth, other.truth)
    assert refused > 30
