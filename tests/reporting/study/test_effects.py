"""Effects of an axis's values: planted ones are found, and candidates too few to tell them apart give none."""

import itertools
from dataclasses import replace

import pytest

from harness.core.record import TrialRecord
from harness.reporting.study.data import StudyData, load
from harness.reporting.study.effects import effects, table
from tests.reporting.fake_study import write_study

AXES = [
    {"name": "train.lr", "values": [0.001, 0.002, 0.004], "ordered": False, "when": None},
    {"name": "train.ignore_unmatched", "values": [False, True], "ordered": False, "when": None},
    {"name": "train.batch", "values": [4, 8], "ordered": False, "when": None},
]


def planted(data: StudyData, count: int) -> StudyData:
    """A study whose candidates reach 50 %, 4 points more at lr 0.002, 1 less at 0.004, 3 more with ignored faces."""
    combinations = itertools.islice(itertools.product((0.001, 0.002, 0.004), (False, True), (4, 8)), count)
    records = []
    for number, (lr, ignore, batch) in enumerate(combinations):
        mean = (
            0.5 + {0.001: 0.0, 0.002: 0.04, 0.004: -0.01}[lr] + 0.03 * ignore + (-1) ** (number * number // 3) * 0.0003
        )
        records.append(
            TrialRecord(
                f"{number:04d}",
                "candidate",
                number,
                state="complete",
                configuration={"train.lr": lr, "train.ignore_unmatched": ignore, "train.batch": batch},
                search_ap={"mean": mean},
            )
        )
    space = replace(data.study.space, definition={**data.study.space.definition, "axes": AXES})
    return replace(data, records=records, study=replace(data.study, space=space))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> StudyData:
    return load(write_study(tmp_path_factory.mktemp("runs")))


def test_planted_effects_are_found_within_their_intervals(data: StudyData) -> None:
    found = {(effect.axis, effect.base, effect.value): effect for effect in effects(planted(data, 12))}
    wanted = {
        ("train.lr", "0.001", "0.002"): (0.04, 4),
        ("train.lr", "0.001", "0.004"): (-0.01, 4),
        ("train.ignore_unmatched", "False", "True"): (0.03, 6),
    }
    for key, (difference, trials) in wanted.items():
        effect = found.pop(key)
        assert effect.low < difference < effect.high
        assert effect.difference == pytest.approx(difference, abs=1e-3)
        assert effect.trials == trials
    (nothing,) = found.values()
    assert nothing.axis == "train.batch"
    assert nothing.low < 0 < nothing.high


def test_the_table_reads_in_points(data: StudyData) -> None:
    rows = table(planted(data, 12)).to_dict("records")
    assert [(row["axis"], row["from"], row["to"]) for row in rows][:2] == [
        ("train.lr", "0.001", "0.002"),
        ("train.lr", "0.001", "0.004"),
    ]
    assert rows[0]["search AP mean, points"] == "+4.0"


@pytest.mark.parametrize("count", [0, 7])
def test_too_few_candidates_have_no_effects(data: StudyData, count: int) -> None:
    """Seven leave three degrees of freedom, and never tried the last rate."""
    assert effects(planted(data, count)) == []
    assert table(planted(data, count)).empty
