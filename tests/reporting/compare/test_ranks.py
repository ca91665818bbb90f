"""Rank stability between studies, and the picture of AP against training time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kendalltau

from harness.reporting.compare.data import Comparison
from harness.reporting.compare.pictures import pictures_of
from harness.reporting.compare.ranks import candidates, kendall, ranks, shared, table
from harness.reporting.compare.read import compare, read_studies
from tests import fake_comparison

SKILLS = (0.50, 0.54, 0.58, 0.62, 0.66, 0.70)


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    runs = tmp_path_factory.mktemp("runs")
    faces = fake_comparison.write_images(runs)
    swapped = (0.54, 0.50, 0.58, 0.62, 0.70, 0.66)
    fake_comparison.write_study(runs, faces, "short", skills=SKILLS, epochs=3)
    fake_comparison.write_study(runs, faces, "same", skills=[s + 0.1 for s in SKILLS], epochs=12)
    fake_comparison.write_study(runs, faces, "swapped", skills=swapped, epochs=12)
    fake_comparison.write_study(runs, faces, "reversed", skills=SKILLS[::-1], epochs=6)
    fake_comparison.write_study(runs, faces, "few", skills=SKILLS[:4], epochs=3)
    names = ["short", "same", "swapped", "reversed", "few"]
    return compare(read_studies(names, runs), runs, None, {}, 100, lambda *_: None)


def test_tau_counts_the_pairs_that_are_ranked_alike(found: Comparison) -> None:
    """Of 15 pairs, none, two and all are ranked the other way round: τ is 1 - 2 · share."""
    known = {frozenset((rank.one, rank.other)): rank for rank in ranks(found)}
    wanted = {("short", "same"): 1.0, ("short", "swapped"): 1 - 4 / 15, ("short", "reversed"): -1.0}
    for pair, tau in wanted.items():
        rank = known[frozenset(pair)]
        assert rank.tau == pytest.approx(tau)
        assert rank.candidates == 6
        assert rank.interval.low <= rank.tau <= rank.interval.high
    swapped = known[frozenset(("short", "swapped"))]
    assert swapped.interval.low < 0.7 < swapped.interval.high, "six candidates say little"


@pytest.mark.parametrize("ties", [False, True])
def test_tau_equals_scipy_s(ties: bool) -> None:
    rng = np.random.default_rng(int(ties))
    aps = rng.normal(size=(2, 9))
    if ties:
        aps = aps.round()
    for draw in rng.integers(9, size=(40, 9)):
        one, other = aps[:, draw]
        assert kendall(one, other) == pytest.approx(kendalltau(one, other).statistic, nan_ok=True)


def test_equal_aps_are_no_ranking(found: Comparison) -> None:
    """Tiny trainings may all reach 0 %: the comparison is written all the same."""
    flat = replace(found.studies[1], records=[replace(record) for record in found.studies[1].records])
    for record in flat.candidates():
        record.search_ap = {**record.search_ap, "mean": 0.0}
    assert len(ranks(replace(found, studies=[found.studies[0], found.studies[2]]))) == 1
    assert ranks(replace(found, studies=[found.studies[0], flat])) == []


def test_the_shorter_study_comes_first_with_its_share_of_the_time(found: Comparison) -> None:
    rank = next(rank for rank in ranks(found) if {rank.one, rank.other} == {"same", "short"})
    assert (rank.one, rank.other, rank.cost) == ("short", "same", 0.25)
    row = next(row for row in table(found).to_dict("records") if row["study"] == "short" and row["against"] == "same")
    assert (row["Kendall τ"], row["share of the training time"]) == ("1.00", "25 %")


def test_the_cost_of_choosing_by_a_short_study_is_what_its_best_candidate_lacks_in_the_long_one(
    found: Comparison,
) -> None:
    known = {(rank.one, rank.other): rank for rank in ranks(found)}
    assert known["short", "same"].behind == 0
    rank = known["short", "swapped"]
    long = {r.label: r.search_ap["mean"] or 0.0 for r in found.studies[2].ranked}
    best = found.studies[0].best
    assert best is not None
    assert rank.behind == pytest.approx(max(long.values()) - long[best.label])
    assert rank.behind > 0


def test_the_shared_candidates_have_their_ap_and_rank_in_every_study(found: Comparison) -> None:
    three = replace(found, studies=found.studies[:3])
    frame = shared(three)
    assert list(dict.fromkeys(frame["study"])) == ["short", "same", "swapped"], "by rising training time"
    for data in three.studies:
        rows = frame[frame["study"] == data.study.name].set_index("candidate")
        assert list(rows.sort_values("rank").index) == [record.label for record in data.ranked]
        assert {r.label: r.search_ap["mean"] for r in data.ranked} == rows["ap"].to_dict()
    text = candidates(three)
    assert list(text.columns)[2:] == [f"{name}: search AP mean, %" for name in ("short", "same", "swapped")]
    assert text["candidate"].iloc[0] == three.studies[2].ranked[0].label, "the best of the longest study"
    assert text["swapped: search AP mean, %"].str.contains("(1)", regex=False).tolist() == [True, *5 * [False]]


def test_the_shared_candidates_are_drawn_with_a_line_each(found: Comparison, tmp_path: Path) -> None:
    three = replace(found, studies=found.studies[:3])
    picture = next(picture for picture in pictures_of(three) if picture.file == "ranks.png")
    assert picture.figure is not None
    (axes,) = picture.figure.axes
    assert [len(np.atleast_2d(line.get_xydata())) for line in axes.lines] == 6 * [3]
    assert sum(line.get_linewidth() > 2 for line in axes.lines) == 2, "the best of the first study and of the last one"
    picture.figure.savefig(tmp_path / "ranks.png")


def test_a_study_with_too_few_common_candidates_leaves_the_others_comparable(found: Comparison) -> None:
    assert set(shared(found)["study"]) == {"short", "same", "swapped", "reversed"}


def test_too_few_common_candidates_have_no_rank(found: Comparison) -> None:
    assert not [rank for rank in ranks(found) if "few" in (rank.one, rank.other)]


def test_ap_is_drawn_against_the_training_time(found: Comparison, tmp_path: Path) -> None:
    picture = next(picture for picture in pictures_of(found) if picture.file and picture.file.startswith("seconds"))
    assert picture.figure is not None
    (axes,) = picture.figure.axes
    drawn = [line.get_xydata() for line in axes.lines]
    long = next(points for points in drawn if len(np.atleast_2d(points)) == 12)
    assert np.atleast_2d(long)[:, 0] == pytest.approx([0.5 * epoch for epoch in range(1, 13)])
    picture.figure.savefig(tmp_path / "seconds.png")
