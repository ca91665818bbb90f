"""The protocol of an AP: all settings, and a digest that differs if they do."""

import numpy as np
import pytest

from harness.core.digest import digest
from harness.core.evaluation import EvalConfig
from harness.data.faces import FaceSet, FaceSetWriter
from harness.data.truth import LISTS, GroundTruth
from harness.evaluation import protocol as module
from harness.evaluation.protocol import ap_protocol, files_protocol

IMAGES = 5


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> FaceSet:
    """Five images of 0, 1, 2, 0 and 1 faces."""
    with FaceSetWriter(tmp_path_factory.mktemp("faces") / "set", "test") as writer:
        for index in range(IMAGES):
            boxes = np.array([[10, 10, 30, 30], [2, 20, 20, 45]], dtype=np.float32)[: index % 3]
            keep = {name: np.ones(len(boxes), dtype=np.bool_) for name in LISTS}
            writer.add(
                f"event/{index}", np.zeros((64, 64, 3), np.uint8), boxes, np.full((len(boxes), 10), np.nan), keep
            )
        return writer.finish()


def test_a_protocol_names_every_setting_and_has_a_digest(faces: FaceSet) -> None:
    protocol = ap_protocol(faces, EvalConfig(), 0)
    named = {
        "version": 2,
        "images": IMAGES,
        "faces": 4,
        "val_digest": faces.digest,
        "eval_side": 0,
        "score_threshold": 0.02,
        "nms_iou": 0.4,
        "max_candidates": 5_000,
        "max_detections": 750,
        "pad_multiple": 1,
        "evaluator": "widerface-1",
    }
    assert protocol == {**named, "digest": digest(named)}
    assert protocol == ap_protocol(faces, EvalConfig(), (0,), np.arange(IMAGES)[::-1])


def test_another_way_of_measuring_is_another_protocol(faces: FaceSet, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [ap_protocol(faces, EvalConfig(), side) for side in (0, 64, (0, 64), (0, 64, 96))]
    others += [ap_protocol(faces, EvalConfig(nms_iou=0.3), 0)]
    others += [ap_protocol(faces, EvalConfig(), 0, np.array(chosen)) for chosen in ([2, 1], [1, 4])]
    assert others[-1] == ap_protocol(faces, EvalConfig(), 0, np.array([4, 1])), (
        "the order of the images decides nothing"
    )
    assert others[2]["eval_side"] == [0, 64]
    assert (others[-2]["images"], others[-2]["faces"]) == (2, 3)
    monkeypatch.setattr(module, "PROTOCOL_VERSION", 3)
    others.append(ap_protocol(faces, EvalConfig(), 0))
    assert len({other["digest"] for other in others}) == 8


def test_prediction_files_are_known_by_their_ground_truth() -> None:
    def truth(name: str = "a", left: float = 1.0, listed: bool = True) -> GroundTruth:
        return GroundTruth(
            [np.array([[left, 1.0, 9.0, 9.0]])], {of: [np.array([listed])] for of in LISTS}, [f"event/{name}"]
        )

    protocol = files_protocol(truth())
    assert (protocol["images"], protocol["faces"], protocol["iou"], protocol["thresholds"]) == (1, 1, 0.5, 1_000)
    assert (protocol["detections"], protocol["evaluator"]) == ("as given", "widerface-1")
    others = [truth(), truth(name="b"), truth(left=2.0), truth(listed=False)]
    assert len({files_protocol(other)["digest"] for other in others}) == 4
    assert files_protocol(truth()) == protocol
