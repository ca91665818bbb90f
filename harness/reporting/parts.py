"""A network's parameters by part, divided as in the documents, for all tables and pictures."""

from collections.abc import Mapping

from harness.core.arch import PARTS

COUNTED = "Every parameter counts, frozen or not; buffers do not count, and no BatchNorm is folded into a convolution."


def part_counts(slots: Mapping[str, int]) -> dict[str, int]:
    """Return part → parameters.

    Args:
        slots: slot → parameters; a missing one counts 0.
    """
    return {part: sum(slots.get(slot, 0) for slot in names) for part, names in PARTS.items()}
