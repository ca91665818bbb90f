"""The benchmarks, the validations and the packages that train many networks, by name."""

from typing import NamedTuple

BENCHMARKS = {
    "training_step": "a training step of the harness / the network's forward and backward pass",
    "losses": "matching and multibox loss with 100 faces per image / the network's forward and backward pass",
    "teacher": "V2's training step with a teacher / without; a teacher's forward pass in training / in float32",
    "inference": "V1 / V2; prediction / forward pass; NMS of all candidates / NMS until enough boxes are kept",
    "deployment": "PyTorch / ONNX Runtime; V1 / V2 exported; a plain export / the reformulated one; float32 / int8",
    "evaluator": "a plain loop / the evaluator, on generated detections",
    "evaluator_widerface": "a plain loop / the evaluator, on a published detector's files for WIDER FACE",
    "counting": "building networks to count their parameters / listing the space",
    "scenes": "generating a synthetic scene / training V2 on one image",
    "proposals": "proposing a trial after 100 others / training V2 on 1,000 scenes for 3 epochs",
    "reports": "writing a study's report / training V2 on 1,000 scenes for 3 epochs",
}
"""Module → the two times whose ratio it measures."""


class Validation(NamedTuple):
    """A script that checks that a result is correct; it compares no two run times.

    Attributes:
        shows: the content of its result.
        arguments: its arguments on the command line; empty if it needs none.
    """

    shows: str
    arguments: str


VALIDATIONS = {
    "common_seeds": Validation(
        "the noise of a difference between two networks that are trained with the same seeds / with different ones", ""
    ),
    "featherface": Validation(
        "the AP of the released FeatherFace's weights, and that of the reference implementation",
        "PATH/TO/WIDERFACE PATH/TO/WEIGHTS",
    ),
    "latency": Validation(
        "rank correlation and error of latencies predicted from a table of parts, on networks it has never seen", ""
    ),
    "search_lists": Validation("agreement of lists by face height with the official lists", "PATH/TO/WIDERFACE"),
    "search_split": Validation(
        "the standard error of a difference in mean AP, by number of images",
        "default-v2_p5-synthetic widerface_mini",
    ),
}
"""Module → its validation. Each is a separate script, because it needs data and takes minutes to hours."""

PACKAGES = {
    "tabular": "trains networks of one space in full, with several seeds, as a table on which searches are replayed",
    "scores": "compares cheap scores of a table's networks with their full trainings: Kendall's τ, and cost",
}
"""Package → what it does. Each trains for hours and resumes."""
