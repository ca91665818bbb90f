import pytest

from harness.errors import InputError
from harness.evaluation.protocol import PROTOCOL_VERSION
from harness.reporting.lock import caption, differences, one_protocol

PROTOCOL = {
    "images": 400,
    "faces": 3_174,
    "val_digest": "9f2c",
    "eval_side": 0,
    "score_threshold": 0.02,
    "nms_iou": 0.4,
    "max_candidates": 5_000,
    "max_detections": 750,
    "pad_multiple": 1,
    "evaluator": 1,
    "digest": "abc",
}


def test_rows_of_one_protocol_may_share_a_column() -> None:
    assert one_protocol({"v1": PROTOCOL, "0001": dict(PROTOCOL)}) == PROTOCOL
    assert one_protocol({}) == {}


@pytest.mark.parametrize(
    ("key", "value"),
    [("val_digest", "ffff"), ("eval_side", 320), ("score_threshold", 0.5), ("nms_iou", 0.3), ("evaluator", 2)],
)
def test_another_protocol_is_refused_and_its_rows_are_named(key: str, value: object) -> None:
    other = {**PROTOCOL, key: value, "digest": "def"}
    with pytest.raises(InputError) as refusal:
        one_protocol({"v1": PROTOCOL, "v2": PROTOCOL, "0007": other, "0001": PROTOCOL})
    assert f"0007 ({key} {value} instead of {PROTOCOL[key]})" in str(refusal.value)
    assert "against 3 other rows" in str(refusal.value)
    assert "v1 (" not in str(refusal.value)


@pytest.mark.parametrize("old", [{**PROTOCOL, "version": 1}, {k: v for k, v in PROTOCOL.items() if k != "version"}])
def test_records_of_an_older_version_are_refused(old: dict[str, object]) -> None:
    new = {**PROTOCOL, "version": PROTOCOL_VERSION, "digest": "def"}
    with pytest.raises(InputError, match=rf"0007 \(version (1|missing) instead of {PROTOCOL_VERSION}\), against 2"):
        one_protocol({"v1": new, "0007": old, "v2": new})
    assert f"protocol version {PROTOCOL_VERSION}" in caption(new, "scenes")


def test_a_missing_key_is_a_difference() -> None:
    less = {key: value for key, value in PROTOCOL.items() if key != "pad_multiple"}
    assert differences(less, PROTOCOL) == "pad_multiple missing instead of 1"
    with pytest.raises(InputError):
        one_protocol({"a": PROTOCOL, "b": less})


def test_the_caption_says_everything_the_protocol_holds() -> None:
    said = caption(PROTOCOL, "synthetic scenes (validation set `9f2c`)")
    for words in ("400 images with 3,174 faces", "original size", "score above 0.02", "NMS at IoU 0.4"):
        assert words in said
    for words in ("5,000 candidates and 750 boxes", "no padding", "evaluator 1", "protocol `abc`"):
        assert words in said
    assert said.count("9f2c") == 1
    sized = caption({**PROTOCOL, "eval_side": 320, "pad_multiple": 32, "scales": "3"}, "images of a WIDER FACE copy")
    for words in ("longest side 320 pixels", "padded to a multiple of 32", "scales 3", "val digest 9f2c"):
        assert words in sized
