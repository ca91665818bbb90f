"""What a diagnosis says, by its thresholds, and that its picture shows every bar whole."""

import pytest
from matplotlib.patches import Rectangle

from harness.reporting.diagnosis import findings, page, picture
from tests.fake_diagnosis import answers, diagnosis, moment, student


@pytest.mark.parametrize(
    ("cosine", "verdict"),
    [
        (0.8, "repeats the truth (+0.80)"),
        (0.79, "mostly agrees with the truth (+0.79)"),
        (0.29, "says something else (+0.29)"),
        (-0.1, "says something else (−0.10)"),
        (-0.11, "works against the truth (−0.11)"),
        (None, "is zero"),
    ],
)
def test_a_cosine_is_told_by_its_thresholds(cosine: float | None, verdict: str) -> None:
    said = findings(diagnosis(v2=student(None, moment(cosine))))[0]
    assert said.startswith(
        "`v2`, end: the largest gradient is box's with 30.0 % of all norms; the teacher's terms have 40"
    )
    assert f"their sum {verdict}: distill_class {verdict}." in said


def test_a_teacher_is_worth_imitating_only_where_it_is_nearer_to_the_truth() -> None:
    better = diagnosis(v2=student(None, moment(0.5), teacher=answers(box_error=0.75)))
    assert "error is 0.750 beside `v2`'s 1.000, 25.0 % less: imitating it leads nearer" in "\n".join(findings(better))
    equal = "\n".join(findings(diagnosis(v2=student(None, moment(0.5)))))
    assert "error is 1.000 beside `v2`'s 1.000, no less: on average, imitating it leads no nearer" in equal
    assert "landmark error" not in equal
    assert "40.0 % are no positives and 12.5 % are false alarms" in equal
    assert "little more than a smoothed label (threshold 0.05)" in equal
    sharp = diagnosis(v2=student(None, moment(0.5), teacher=answers(spread_negative=0.05)))
    assert "it tells priors of a label apart" in "\n".join(findings(sharp))


def test_batches_without_a_face_are_said_to_be_that() -> None:
    empty = answers(positives=0, score=None, missed_share=None, box_error=None, entropy_positive=None)
    found = diagnosis(v2=student(None, moment(None), teacher=empty, student=empty))
    assert findings(found)[-1] == "`v2`: no prior of these batches is positive; take more --batches."
    assert "| score | – | – |" in page(found)


def test_the_page_holds_every_table_and_says_nothing_twice() -> None:
    found = diagnosis(v2=student(moment(0.1), moment(0.5)), other=student(None, moment(0.9)))
    text = page(found)
    assert "## v2: gradients at the start of training" in text
    assert "## other: gradients at the start of training" not in text
    assert "| distill_class | 0.7 | 30.0 | +0.10 | 3 | 0.3 |" in text
    assert "| missed share | 25.0 % | 25.0 % |" in text
    assert "| confident | 2,000 | 2,000 |" in text
    said = findings(found)
    assert len(said) == len(set(said))


def test_every_bar_lies_inside_the_picture() -> None:
    found = diagnosis(v2=student(moment(0.1), moment(0.5)), other=student(None, moment(0.9, box_share=0.5)))
    figure = picture(found)
    widths = [p.get_width() for axes in figure.axes for p in axes.patches if isinstance(p, Rectangle)]
    assert len(widths) == 4 + 4 + 4
    assert max(widths) == pytest.approx(50.0)
    assert all(axes.get_xlim()[1] > 50.0 for axes in figure.axes)
