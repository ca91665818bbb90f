from dataclasses import replace
from pathlib import Path

from harness.reporting.study.data import load
from harness.reporting.study.findings import findings, headline
from tests.reporting.fake_study import write_study


def test_the_headline_says_what_was_searched_and_found(tmp_path: Path) -> None:
    data = load(write_study(tmp_path))
    said = headline(data)
    for words in ("`fake_light`", "2,592 configurations", "budget of 256,148 parameters", "tpe"):
        assert words in said
    for words in ("9 students of 12", "2 stopped early", "1 failed", "trial 0010", "66.1 %", "V2", "65.0 %", "78.0 %"):
        assert words in said


def test_findings_are_computed_from_the_records(tmp_path: Path) -> None:
    said = " ".join(findings(load(write_study(tmp_path))))
    for words in (
        "Trial 0010 is 1.1 points above V2",
        "5,721 parameters fewer",
        "reach V2's mean AP: 1 of 9",
        "V2 itself is 8 over the budget",
        "11.9 points below the teacher V1",
        "53.0 to 66.1 %",
        "Stopping early saved 4 of 8 epochs",
        "turned down before a trial existed: 31 over the budget, 2 not buildable.",
        "`attention.name`",
        "trained once",
        "optimistic",
    ):
        assert words in said
    assert "WIDER FACE copy" not in said


def test_repeated_seeds_take_the_caveat_away(tmp_path: Path) -> None:
    data = load(write_study(tmp_path))
    best = data.ranked[0]
    ap = {**best.ap, "mean": (best.ap["mean"] or 0) - 0.02}
    again = replace(best, label=f"{best.label}-s2", role="repeat", number=None, repeat_of=best.label, seed=5, ap=ap)
    said = " ".join(findings(replace(data, records=[*data.records, again])))
    assert "trained once" not in said
    mean = 100 * (best.ap["mean"] or 0)
    assert f"{best.label}: {mean - 1:.1f} ± 1.4 % mean AP over 2 seeds; {mean - 2:.1f} % without the one" in said


def test_photographs_carry_their_caveat(tmp_path: Path) -> None:
    said = " ".join(findings(load(write_study(tmp_path, source="data/widerface"))))
    assert "not with published WIDER FACE tables" in said


def test_nothing_is_said_that_was_not_measured(tmp_path: Path) -> None:
    data = load(write_study(tmp_path, trials=0, references=False))
    assert "no student has a final AP" in headline(data)
    assert len(findings(data)) == 2
    alone = load(write_study(tmp_path, "alone", trials=3, references=False))
    said = " ".join([headline(alone), *findings(alone)])
    assert "V2" not in said.replace("V2's own", "")
    assert "teacher" not in said
