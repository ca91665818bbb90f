"""The sentences of a diagnosis by its thresholds, and a picture that shows every bar in full."""

import pytest
from matplotlib.patches import Rectangle

from harness.reporting.diagnosis import findings, page, picture
from tests.fake_diagnosis import answers, diagnosis, moment, student


@pytest.mark.parametrize(
    ("cosine", "verdict"),
    [
        (0.8, "repeats {} (+0.80)"),
        (0.79, "mostly agrees with {} (+0.79)"),
        (0.29, "is weakly aligned with {} (+0.29)"),
        (-0.1, "is weakly aligned with {} (−0.10)"),
        (-0.11, "opposes {} (−0.11)"),
        (None, "is zero"),
    ],
)
def test_a_cosine_is_described_by_its_thresholds(cosine: float | None, verdict: str) -> None:
    said = findings(diagnosis(v2=student(None, moment(cosine))))[0]
    assert said.startswith("`v2`, end: box has the largest share of the gradient norms, 30.0 %.")
    terms = f"{verdict.format('the ground-truth gradient')}; distill_class {verdict.format('it')}."
    assert f"The teacher's terms have a share of 40.0 %: their sum {terms}" in said


def test_imitation_leads_towards_the_ground_truth_only_where_the_teacher_s_error_is_less() -> None:
    better = diagnosis(v2=student(None, moment(0.5), teacher=answers(box_error=0.75)))
    assert "error is 0.750, that of `v2` 1.000; 25.0 % less: imitating it leads towards" in "\n".join(findings(better))
    equal = "\n".join(findings(diagnosis(v2=student(None, moment(0.5)))))
    assert "error is 1.000, that of `v2` 1.000; not less: on average, imitating it does not lead" in equal
    assert "landmark error" not in equal
    assert "40.0 % are not positive and 12.5 % are false alarms, which distillation passes on." in equal
    how = {"temperature": 4.0, "score_threshold": 0.1, "conditional": True}
    conditional = "\n".join(findings(diagnosis(v2=student(None, moment(0.5), distill=how))))
    assert "12.5 % are false alarms, which distillation leaves out." in conditional
    assert "little more than a smoothed label (threshold 0.05)" in equal
    alone = diagnosis(v2=student(None, moment(0.5), teacher=answers(spread_negative=None)))
    assert "is at most 0.040 among priors with the same label" in "\n".join(findings(alone)), (
        "a missing spread is not 0"
    )
    sharp = diagnosis(v2=student(None, moment(0.5), teacher=answers(spread_negative=0.05)))
    assert "it distinguishes such priors" in "\n".join(findings(sharp))


def test_batches_without_a_face_are_reported_as_such() -> None:
    empty = answers(positives=0, score=None, missed_share=None, box_error=None, entropy_positive=None)
    found = diagnosis(v2=student(None, moment(None), teacher=empty, student=empty))
    assert findings(found)[-1] == "`v2`: no prior of these batches is positive; use more --batches."
    assert "| score | – | – |" in page(found)


def test_the_page_has_every_table_and_no_sentence_twice() -> None:
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
    bars = [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, Rectangle)]
    widths = [bar.get_width() for bar in bars]
    assert len(widths) == 4 + 4 + 4
    assert max(widths) == pytest.approx(50.0)
    assert all(axes.get_xlim()[1] > 50.0 for axes in figure.axes)
