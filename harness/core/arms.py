"""The networks of an ablation: V1 with some of V2's parts, or a named architecture with some options changed."""

from collections.abc import Collection, Mapping

from harness.core.ablation import Arm
from harness.core.arch import ARCHS, PARTS, ArchConfig, OptionValue
from harness.core.space import SearchSpace

ALL = "all five"
"""The change from V1 to V2."""

EXCHANGED = tuple(part for part in PARTS if part != "backbone")
"""The parts in which V1 and V2 differ, in the order of the forward pass. The backbone is the same."""


def exchanged(parts: Collection[str]) -> Arm:
    """Return V1 with V2's ``parts``, a selection of ``EXCHANGED``; with all of them it is V2.

    An attention is exchanged after the backbone and after the neck. The neck's number of channels belongs to the neck.
    """
    new = [part for part in EXCHANGED if part in parts]
    old = [part for part in EXCHANGED if part not in parts]
    v1, v2 = ARCHS["v1"].parts(), ARCHS["v2"].parts()
    slots = {slot for part in new for slot in PARTS[part]}
    arch = ArchConfig(**{slot: v2[slot] if slot in slots else v1[slot] for slot in v1})
    if not new or not old:
        return Arm("v2-arm" if new else "v1-arm", arch)
    if len(new) <= len(old):
        return Arm("-".join(("v1-with", *new)), arch)
    return Arm("-".join(("v2-without", *old)), arch)


def varied(base: str, configuration: Mapping[str, OptionValue]) -> Arm:
    """Return the named architecture with some options or parts changed.

    Args:
        base: a name of ``ARCHS``.
        configuration: axis (``context.groups``, ``head.name``) → value, as in a search space.
    """
    arch = SearchSpace(base, "", ARCHS[base], ()).arch(configuration)
    if arch == ARCHS[base]:
        return Arm(f"{base}-arm", arch)
    words = [f"{axis.replace('.', '-')}-{value}" for axis, value in configuration.items()]
    return Arm("-".join((base, *words)), arch)
