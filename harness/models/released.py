"""Maps the tensor names of ``featherface`` to those in the released FeatherFace's checkpoint.

Modules are mapped; a tensor keeps the last part of its name (``weight``, ``bias``, ``running_mean``, …). Where two
modules have equal shapes and could be confused, the released names mean:

- ``p4_down_channel`` and ``p5_down_channel`` feed the top-down pass, their ``_2`` the bottom-up pass.
- Fusion weights: ``p4_w1`` belongs to P4 in the top-down pass, ``p4_w2`` to P4 in the bottom-up pass; ``p3_w1`` and
  ``p5_w2`` to the only fusion of P3 and of P5.
- ``conv4_up`` and ``conv3_up`` are the nodes of the top-down pass (it upsamples), ``conv4_down`` and ``conv5_down``
  those of the bottom-up pass (it downsamples).
- The 7×7 branch is ``conv7X7_2``, then ``conv7x7_3``; it and ``conv5X5_2`` both take the output of ``conv5X5_1``.
- ``bacbkbone`` is the checkpoint's spelling.
"""

from collections.abc import Iterable, Iterator, Mapping

from harness.models.modules.part import LEVEL_NAMES

_CELLS = 3
_STAGES = ("stage1", "stage2", "stage3")
_GATES = {
    "channel.reduce": "ChannelGate.mlp.1",
    "channel.expand": "ChannelGate.mlp.3",
    "spatial.conv": "SpatialGate.spatial.conv",
    "spatial.norm": "SpatialGate.spatial.bn",
}
_LATERALS = {
    "down.0": "p3_down_channel",
    "down.1": "p4_down_channel",
    "down.2": "p5_down_channel",
    "out.0": "p4_down_channel_2",
    "out.1": "p5_down_channel_2",
}
_LATERAL_LAYERS = {"conv": "0.conv", "norm": "1"}
_FUSIONS = {"p4_up": "p4_w1", "p3_out": "p3_w1", "p4_out": "p4_w2", "p5_out": "p5_w2"}
_NODES = {"p4_up": "conv4_up", "p3_out": "conv3_up", "p4_out": "conv4_down", "p5_out": "conv5_down"}
_NODE_LAYERS = {"depthwise": "depthwise_conv.conv", "pointwise": "pointwise_conv.conv", "norm": "bn"}
_BRANCHES = {
    "near": "conv3X3",
    "stem": "conv5X5_1",
    "middle": "conv5X5_2",
    "far.0": "conv7X7_2",
    "far.1": "conv7x7_3",
}
_BRANCH_LAYERS = {"0": "0.regular_conv", "0.offset": "0.offset_conv", "0.modulator": "0.modulator_conv", "1": "1"}
_SHUFFLE_LAYERS = {
    "squeeze.0": "1",
    "squeeze.1": "2",
    "depthwise.0": "3",
    "depthwise.1": "4",
    "expand.0": "5",
    "expand.1": "6",
}
_HEADS = {"box": "BboxHead", "classes": "ClassHead", "landmark": "LandmarkHead"}


def _below(ours: str, theirs: str, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    return ((f"{ours}.{our}", f"{theirs}.{their}") for our, their in names.items())


def _modules() -> Iterator[tuple[str, str]]:
    """Yield (our name, released name) of every module with tensors of its own, and of every fusion weight.

    Inside a backbone's stage the names are the same, so only the stage is listed.
    """
    yield from ((f"backbone.{stage}", f"body.{stage}") for stage in _STAGES)
    for lateral, theirs in _LATERALS.items():
        yield from _below(f"neck.{lateral}", f"bifpn.0.{theirs}", _LATERAL_LAYERS)
    for cell in range(_CELLS):
        yield from _below(f"neck.cells.{cell}.fusion", f"bifpn.{cell}", _FUSIONS)
        for node, theirs in _NODES.items():
            yield from _below(f"neck.cells.{cell}.{node}", f"bifpn.{cell}.{theirs}", _NODE_LAYERS)
    for index, level in enumerate(LEVEL_NAMES):
        yield from _below(f"attention.{level}", f"bacbkbone_{index}_cbam", _GATES)
        yield from _below(f"neck_attention.{level}", f"bif_cbam_{index}", _GATES)
        for branch, theirs in _BRANCHES.items():
            yield from _below(f"context.{level}.{branch}", f"ssh{index + 1}.{theirs}", _BRANCH_LAYERS)
        yield from _below(f"shuffle.{level}", f"ssh{index + 1}_cs", _SHUFFLE_LAYERS)
        for task, theirs in _HEADS.items():
            yield f"head.levels.{level}.{task}", f"{theirs}.{index}.conv1x1"


MODULES = dict(_modules())
"""Our name → released name, one to one."""

_TOP = frozenset(theirs.partition(".")[0] for theirs in MODULES.values())


def is_released(names: Iterable[str]) -> bool:
    """Return whether any tensor belongs to a module that only the released checkpoint has."""
    return any(name.partition(".")[0] in _TOP for name in names)


def released_name(ours: str) -> str:
    """Return the released name of a tensor of ``featherface``; a tensor without a released name keeps its own."""
    module, rest = ours, ""
    while module and module not in MODULES:
        module, _, last = module.rpartition(".")
        rest = f".{last}{rest}"
    return f"{MODULES[module]}{rest}" if module else ours
