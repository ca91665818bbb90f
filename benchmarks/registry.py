"""What is measured here: benchmarks by name, and the validations that stand beside them."""

from typing import NamedTuple

BENCHMARKS = {
    "training_step": "a training step of the harness, beside the bare network's forward and backward pass",
    "losses": "matching and multibox loss with 100 faces per image, as a share of the bare training step",
    "inference": "V1's forward pass beside V2's; prediction beside its forward pass; suppression of all candidates",
    "evaluator": "the evaluator beside a plain loop, on generated detections",
    "evaluator_widerface": "the evaluator against a plain loop, on a published detector's files for WIDER FACE",
    "counting": "building networks to count their parameters, beside listing the space",
    "scenes": "making a synthetic scene, beside training V2 on one image",
    "proposals": "proposing a trial after 100 others, beside training V2 on 1,000 scenes for 3 epochs",
    "reports": "writing a study's report, beside training V2 on 1,000 scenes for 3 epochs",
}
"""Module → what is measured: time of the first thing over time of the second."""


class Validation(NamedTuple):
    """A script that shows that a result is right, not how long it takes.

    Attributes:
        shows: what its result says.
        arguments: what it needs on the command line.
    """

    shows: str
    arguments: str


VALIDATIONS = {
    "featherface": Validation(
        "the AP of the released FeatherFace's weights, beside the reference implementation's",
        "PATH/TO/WIDERFACE PATH/TO/WEIGHTS",
    ),
    "search_lists": Validation("how well lists by face height reproduce the official ones", "PATH/TO/WIDERFACE"),
    "search_split": Validation(
        "the standard error of a difference in mean AP, by number of images", "PATH/TO/WIDERFACE PATH/TO/BACKBONE"
    ),
}
"""Module → what it shows. Each is a script of its own: they take minutes to hours, and need data."""
