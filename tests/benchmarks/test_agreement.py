"""What is computed from scores: taus and intervals as SciPy has them, tables, findings, the picture."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import bootstrap, kendalltau

from benchmarks.scores import page, tables
from benchmarks.scores.agreement import Judged, judge
from benchmarks.scores.catalogue import CATALOGUE
from benchmarks.scores.chosen import chosen, spread, unmeasured
from benchmarks.scores.data import Full, Score, Scores
from benchmarks.scores.findings import findings, remarks
from harness.core.digest import digest
from harness.core.table import Network, Table
from harness.core.training import SharingConfig, TrainConfig
from harness.errors import DataError, InputError
from tests import fake_table

CANDIDATES = 32
SHARING = SharingConfig(TrainConfig())
SHARES = dict(
    zip(CATALOGUE, (2e-6, 3e-6, 0.01, 0.02, 0.02, 0.01, 0.03, 0.05, 0.2, 0.3, 0.5, 0.7, 0.5, 0.4), strict=True)
)


@pytest.fixture(scope="module")
def table() -> Table:
    made = fake_table.table(networks=40, noise=0.02)
    return replace(made, config=replace(made.config, seeds=2))


@pytest.fixture(scope="module")
def found(table: Table) -> Scores:
    """Scores that follow the truth the more, the more they cost; the gradient norm orders the other way round."""
    rng = np.random.default_rng(3)
    empty = unmeasured(table, table.networks[:CANDIDATES], SHARING, quick=False)
    scores = {}
    for name, share in SHARES.items():
        noise = 0.02 * (1 - share)
        sign = -1 if name == "gradient_norm" else 1
        values = {label: sign * (one.ap + noise * rng.standard_normal()) for label, one in empty.candidates.items()}
        if name in ("params", "macs"):
            values = {label: float(getattr(one, name)) for label, one in empty.candidates.items()}
        once = {"0000": 8.0, "0001": 10.0} if "slices" in name else {}
        scores[name] = Score(dict(values), {"0000": 0.9 * share, "0001": 1.1 * share}, once, "as planted")
    full = {"0000": Full(1_500, 60.0, 70.0), "0001": Full(1_500, 50.0, 80.0)}
    return replace(empty, scores=scores, full=full, seed=7, teacher=table.teacher["digest"], command="python")


@pytest.fixture(scope="module")
def judged(found: Scores) -> Judged:
    return judge(found)


def columns(found: Scores, name: str) -> tuple[list[float], list[float]]:
    score = found.scores[name]
    pairs = [(v, found.candidates[label].ap) for label, v in score.values.items() if v is not None]
    return [value for value, _ in pairs], [ap for _, ap in pairs]


def test_taus_are_those_of_scipy(found: Scores, judged: Judged) -> None:
    for row in judged.rows:
        values, truth = columns(found, row.name)
        assert row.tau is not None
        assert row.tau.value == pytest.approx(kendalltau(values, truth).statistic)
        each = np.array([one.aps for one in found.candidates.values()]).T
        assert row.one == pytest.approx(np.mean([kendalltau(values, aps).statistic for aps in each]))
    assert judged.ceiling is not None
    one, other = np.array([one.aps for one in found.candidates.values()]).T
    assert judged.ceiling.value == pytest.approx(kendalltau(one, other).statistic)


@pytest.mark.parametrize("name", ["params", "naswot", "half_epochs"])
def test_intervals_are_those_of_scipy_s_bootstrap(found: Scores, judged: Judged, name: str) -> None:
    """Percentiles of paired resamples; both sides draw their own, so that they agree up to chance."""
    row = next(row for row in judged.rows if row.name == name)
    wanted = bootstrap(
        columns(found, name),
        lambda one, other: kendalltau(one, other).statistic,
        n_resamples=1_000,
        paired=True,
        vectorized=False,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert row.tau is not None
    assert row.tau.interval == pytest.approx((wanted.low, wanted.high), abs=0.05)
    assert row.tau.interval.low < row.tau.value < row.tau.interval.high


def test_the_gain_over_parameters_is_paired(found: Scores, judged: Judged) -> None:
    rows = {row.name: row for row in judged.rows}
    base = rows["params"].tau
    assert base is not None
    assert rows["params"].gain is None
    for name, row in rows.items():
        if name != "params":
            assert row.gain is not None
            assert row.tau is not None
            assert row.gain.value == pytest.approx(row.tau.value - base.value)
    doubled = replace(
        found.scores["params"], values={k: 2 * (v or 0) for k, v in found.scores["params"].values.items()}
    )
    (same,) = judge(replace(found, scores={"macs": doubled})).rows
    assert same.gain == (0.0, (0.0, 0.0)), "a score with the order of the parameters gains nothing in any resample"


def test_a_score_is_ahead_if_no_cheaper_one_is_as_good(judged: Judged) -> None:
    rows = judged.rows
    assert [row.share for row in rows] == pytest.approx(sorted(SHARES.values()))
    best = 0.0
    for row in rows:
        assert row.tau is not None
        assert row.front == (row.tau.value > best), row.name
        best = max(best, row.tau.value)
    assert not next(row for row in rows if row.name == "gradient_norm").front


def test_points_lost_are_those_of_the_candidate_with_the_highest_score(found: Scores, judged: Judged) -> None:
    aps = {label: one.ap for label, one in found.candidates.items()}
    for row in judged.rows:
        values = {label: value or 0.0 for label, value in found.scores[row.name].values.items()}
        assert row.lost == pytest.approx(max(aps.values()) - aps[max(values, key=values.__getitem__)])


def test_a_candidate_without_a_score_is_left_out_of_its_row(found: Scores) -> None:
    score = found.scores["half_side"]
    changed = replace(found, scores={"half_side": replace(score, values={**score.values, "0003": None})})
    again = judge(changed)
    (row,) = again.rows
    values, truth = columns(changed, "half_side")
    assert row.candidates == len(values) == CANDIDATES - 1
    assert row.tau is not None
    assert row.tau.value == pytest.approx(kendalltau(values, truth).statistic)
    assert "left out of its row: half of the side 1." in remarks(again)[-1]


@pytest.mark.parametrize("value", [0.5, None])
def test_equal_or_missing_scores_order_nothing(found: Scores, value: float | None) -> None:
    flat = Score(dict.fromkeys(found.candidates, value), {})
    again = judge(replace(found, scores={"naswot": flat}))
    (row,) = again.rows
    assert (row.tau, row.one, row.gain, row.lost, row.share, row.front) == (None, None, None, None, None, False)
    assert page.picture(again).figure is None
    assert tables.taus(again)["Kendall τ"].iloc[0] == "–"


def test_with_one_seed_there_is_no_ceiling(table: Table, found: Scores) -> None:
    few = {label: replace(c, aps=c.aps[:1]) for label, c in found.candidates.items()}
    one = judge(replace(found, seeds=found.seeds[:1], candidates=few))
    assert one.ceiling is None
    assert tables.ANOTHER not in set(tables.taus(one)["score"])
    assert any("one training per candidate" in remark for remark in remarks(one))
    assert not any("Two full trainings" in said for said in findings(one))
    assert table.config.seeds == 2


def test_findings_are_computed(judged: Judged) -> None:
    said = " ".join(findings(judged))
    assert "Two full trainings with different seeds" in said
    assert "The order is the reverse of the full schedule's, beyond the choice of candidates: gradient norm." in said
    assert "The shared weights cost as much as 9.0 full trainings." in said
    assert "slices, tuned 33 %" in said, "5 % and a share of 9 / 32 of a full training"
    assert remarks(judged) == []
    other = replace(judged, measured=replace(judged.measured, teacher="0" * 12))
    assert "another teacher" in remarks(other)[0]


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (None, "–"),
        (2.34e-6, "0.00023"),
        (0.01234, "1.2"),
        (0.0987, "9.9"),
        (0.4567, "46"),
        (1.0, "100"),
        (0.00999, "1.0"),
    ],
)
def test_costs_have_two_digits(share: float | None, text: str) -> None:
    assert tables.cost(share) == text


def test_the_report_and_its_picture(found: Scores, judged: Judged, tmp_path: Path) -> None:
    report = page.write_report(judged, tmp_path / "scores_planted")
    text = report.read_text(encoding="utf-8")
    assert "![τ against cost](scores.png)" in text
    assert text.count("| full training, another seed |") == 1
    figure = page.picture(judged).figure
    assert figure is not None
    (axes,) = figure.axes
    assert {entry.title for entry in CATALOGUE.values()} <= {label.get_text() for label in axes.texts}
    frame = tables.results(found)
    assert len(frame) == CANDIDATES
    assert list(frame["ap_seed_11"]) == [one.aps[0] for one in found.candidates.values()]
    page.write_report(judged, tmp_path / "scores_planted")
    (tmp_path / "else").mkdir()
    with pytest.raises(InputError, match="is no report on scores"):
        page.write_report(judged, tmp_path / "else")


def test_the_file_is_read_as_it_was_written(found: Scores, tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    found.save(path)
    assert Scores.load(path) == found
    path.write_text(path.read_text(encoding="utf-8").replace('"version": 1', '"version": 0'), encoding="utf-8")
    with pytest.raises(DataError, match="version 0, not 1"):
        Scores.load(path)
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match="not a readable file of scores"):
        Scores.load(path)


def test_scores_keep_the_order_of_the_catalogue(found: Scores) -> None:
    empty = replace(found, scores={})
    names = list(CATALOGUE)
    later = empty.with_score("naswot", found.scores["naswot"], names).with_score(
        "params", found.scores["params"], names
    )
    assert list(later.scores) == ["params", "naswot"]


class TestCandidates:
    def test_the_first_within_the_budget_with_all_trainings_are_chosen(self, table: Table) -> None:
        over = replace(table.networks[1], feasible=False)
        once = replace(table.networks[3], trainings=table.networks[3].trainings[:1])
        networks = (table.networks[0], over, table.networks[2], once, *table.networks[4:])
        found = chosen(replace(table, networks=networks), 8, 8)
        assert [one.label for one in found] == ["0000", "0002", "0004", "0005", "0006", "0007", "0008", "0009"]

    @pytest.mark.parametrize(("count", "words"), [(41, "must be 8 … 40, got 41"), (8, "needs at least 8")])
    def test_too_few_are_refused(self, table: Table, count: int, words: str) -> None:
        few = table if count > 8 else replace(table, networks=table.networks[:7])
        with pytest.raises(InputError, match=words):
            chosen(few, count, 8)

    def test_the_timed_ones_are_spread_over_the_macs(self, table: Table) -> None:
        macs = {one.label: one.macs for one in table.networks}
        first, middle, last = spread(table.networks, 3)
        assert macs[first] == min(macs.values())
        assert macs[last] == max(macs.values())
        assert macs[first] < macs[middle] < macs[last]
        assert spread(table.networks, 1) == [first]
        assert spread(table.networks[:2], 3) == sorted(("0000", "0001"), key=macs.__getitem__)

    def test_what_decides_the_scores_decides_the_key(self, table: Table) -> None:
        def key(
            of: Table,
            networks: tuple[Network, ...] = table.networks[:8],
            sharing: SharingConfig = SHARING,
            quick: bool = False,
        ) -> str:
            return unmeasured(of, networks, sharing, quick=quick).key

        assert len(key(table)) == len(digest({}))
        assert key(replace(table, networks=(), complete=False)) == key(table), "a longer table continues"
        measured = tuple(replace(one, speed={"latency_ms": 1.0}) for one in table.networks[:8])
        assert key(table, measured) == key(table)
        others = [
            key(table, table.networks[:9]),
            key(table, quick=True),
            key(table, sharing=replace(SHARING, tuning=1)),
            key(replace(table, images={**table.images, "train": "z"})),
            key(replace(table, config=replace(table.config, train=replace(table.config.train, lr=0.5)))),
        ]
        assert len({key(table), *others}) == 6
