"""The scores by name: what each one is, and where it comes from."""

from typing import NamedTuple

COUNTED, UNTRAINED, SHARED, SHORTER = KINDS = (
    "counted",
    "from the untrained network",
    "from shared weights",
    "from a cheaper training",
)


class Entry(NamedTuple):
    """One score: the kind that it belongs to, its name in reports, and its definition with its source."""

    kind: str
    title: str
    definition: str


CATALOGUE = {
    "params": Entry(COUNTED, "parameters", "the number of parameters, in closed form"),
    "macs": Entry(COUNTED, "MACs", "multiply-accumulates of one image, in closed form"),
    "synflow": Entry(
        UNTRAINED,
        "synaptic flow",
        "Σ |w · ∂R/∂w| over the weights of convolutions and linear layers, with absolute weights, without BatchNorms; "
        "R is the sum of the outputs for an input of ones (Tanaka et al., arXiv 2006.05467; Abdelfattah et al., arXiv "
        "2101.08134)",
    ),
    "gradient_norm": Entry(
        UNTRAINED,
        "gradient norm",
        "norms of the loss's gradients by the weights of convolutions and linear layers, summed over these tensors "
        "(Abdelfattah et al., arXiv 2101.08134)",
    ),
    "fisher": Entry(
        UNTRAINED,
        "Fisher information",
        "that of the maps after all convolutions, summed over channels (Turner et al., arXiv 1906.04113; Abdelfattah "
        "et al., arXiv 2101.08134)",
    ),
    "naswot": Entry(
        UNTRAINED,
        "NASWOT",
        "log-determinant of the kernel of activation codes, images minus Hamming distances (Mellor et al., arXiv "
        "2006.04647); the codes are the signs of what enters ReLUs, LeakyReLUs and SiLUs of maps",
    ),
    "slices": Entry(
        SHARED,
        "slices, statistics only",
        "AP of the candidate's slices of shared weights (Guo et al., arXiv 1904.00420) after the statistics of its "
        "BatchNorms were measured",
    ),
    "tuned_slices": Entry(
        SHARED, "slices, tuned", "AP of these slices after a few steps of training behind the common backbone"
    ),
    "eighth_epochs": Entry(
        SHORTER, "1/8 of the epochs", "AP after the same schedule with fewer epochs, decay included"
    ),
    "quarter_epochs": Entry(SHORTER, "1/4 of the epochs", "likewise"),
    "half_epochs": Entry(SHORTER, "1/2 of the epochs", "likewise"),
    "frozen": Entry(SHORTER, "frozen backbone", "AP after all epochs in which the teacher's backbone is not trained"),
    "half_images": Entry(SHORTER, "half of the images", "AP after all epochs on half of the training images"),
    "half_side": Entry(
        SHORTER, "half of the side", "AP after all epochs on crops of half the side, evaluated on smaller images"
    ),
}
"""Name → score, in the order in which they are measured."""
