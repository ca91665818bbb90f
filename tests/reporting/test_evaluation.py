"""An evaluation as text: every figure that it has, and none that it has not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.data.truth import LISTS, GroundTruth
from harness.evaluation.ap import evaluate_ap
from harness.evaluation.run import Evaluation
from harness.reporting import landmarks
from harness.reporting.evaluation import draw, text_of
from tests.fake_landmarks import landmark_error


@pytest.fixture
def evaluation() -> Evaluation:
    """One face that is found, on medium and hard only."""
    box = np.array([[10.0, 10.0, 29.0, 29.0]])
    truth = GroundTruth([box], {name: [np.array([name != "easy"])] for name in LISTS}, ["event/0"])
    detections = [np.array([[*box[0], 0.9]])]
    protocol = {"images": 1_000, "eval_side": [640, 1024]}
    return Evaluation("v2", truth.ids, detections, evaluate_ap(detections, truth), protocol, 0.25, {})


def test_the_table_holds_every_list(evaluation: Evaluation) -> None:
    assert text_of(evaluation).splitlines() == [
        "v2",
        "             easy   medium     hard     mean",
        "AP, %           –   100.00   100.00        –",
        "faces           0        1        1",
        "protocol: images 1,000, eval_side 640 + 1,024",
        "evaluated in 0.25 s",
    ]


def test_the_landmark_error_is_given_by_size(evaluation: Evaluation) -> None:
    found = replace(evaluation, details={"landmark": landmark_error(0.0712)})
    assert text_of(found).splitlines()[4:7] == [
        "landmark NME, % of the face's size: 7.1 (matched 812 of 1,024); 10.0 % of these have an error above 10 %",
        "  by face height: below 8 px – (matched 0 of 24), 8–16 px 7.1 % (matched 812 of 1,000)",
        "  interocular NME (eyes at least 10 px apart): 14.2 % (matched 406 of 600)",
    ]
    nothing = replace(evaluation, details={"landmark": landmark_error(None, 0)})
    assert text_of(nothing).splitlines()[4] == "landmark NME, % of the face's size: – (matched 0 of 1,024)"


@pytest.mark.parametrize(
    ("errors", "text"),
    [
        ([], "–"),
        ([{}], "–"),
        ([landmark_error(0.05)], "5.0 (matched 812 of 1,024)"),
        ([landmark_error(0.04, 700), {}, landmark_error(0.06, 900)], "5.0 ± 1.4 (matched 700–900 of 1,024)"),
        ([landmark_error(None, 0)], "– (matched 0 of 1,024)"),
        ([landmark_error(None, 0), landmark_error(0.05, 9)], "5.0 (matched 0–9 of 1,024)"),
    ],
)
def test_the_cell_of_several_trainings(errors: list[dict[str, Any]], text: str) -> None:
    assert landmarks.cell(errors) == text


def test_a_list_without_faces_has_no_curve(evaluation: Evaluation) -> None:
    lines = {
        str(line.get_label()).split("\n")[0]: np.asarray(line.get_xydata()).shape[0]
        for line in draw(evaluation).axes[0].lines
    }
    assert lines == {"easy": 0, "medium": 1_001, "hard": 1_001}
