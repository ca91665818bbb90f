"""A network's parameters in the documents' division, the same in every table and picture."""

from collections.abc import Mapping

PARTS = {
    "backbone": ("backbone",),
    "attention": ("attention", "neck_attention"),
    "neck": ("neck",),
    "context": ("context",),
    "shuffle": ("shuffle",),
    "head": ("head",),
}
"""Part as the documents count it → slots. Both attentions are one part there."""

COUNTED = "Parameters: every one counts, frozen or not; no buffers, no BatchNorm folded into convolutions."


def part_counts(slots: Mapping[str, int]) -> dict[str, int]:
    """Return part → parameters.

    Args:
        slots: slot → parameters; a missing one counts 0.
    """
    return {part: sum(slots.get(slot, 0) for slot in names) for part, names in PARTS.items()}
