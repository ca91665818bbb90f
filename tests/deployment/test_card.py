"""What a file says about itself is checked where it is read."""

import json
from typing import Any

import pytest

from harness.deployment.card import Card
from harness.errors import DataError

CARD = Card("best", {"neck": "bifpn_light"}, "0123", "default", 640, "", 20, "1.0")


def test_a_card_is_read_as_it_was_written() -> None:
    assert Card.from_metadata(CARD.to_metadata(), "a.onnx") == CARD


@pytest.mark.parametrize(
    ("key", "value"),
    [("size", "640"), ("size", -1), ("size", 10**6), ("size", 64.5), ("arch", []), ("evaluation", None), ("opset", {})],
)
def test_values_of_another_kind_are_refused(key: str, value: Any) -> None:
    metadata = CARD.to_metadata() | {key: json.dumps(value)}
    with pytest.raises(DataError, match=f"a.onnx is not a detector that .* wrote: {key} is"):
        Card.from_metadata(metadata, "a.onnx")
