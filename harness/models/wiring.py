"""Looks up the registered components of an ``ArchConfig``, checks them, and assembles the detector.

Only ``assemble`` creates tensors. ``builder`` and ``costs`` are built on this module.
"""

from dataclasses import dataclass
from functools import cache

from harness.core.arch import SLOTS, ArchConfig, OptionValue, Part
from harness.core.retinaface import STRIDES
from harness.errors import InputError, unknown_name
from harness.models.detector import Detector
from harness.models.modules import ATTENTIONS, BACKBONES, CONTEXTS, HEADS, NECKS, SHUFFLES
from harness.models.modules.part import Component, Cost, Levels, Misfit
from harness.models.registry import Registry

REGISTRIES: dict[str, Registry[Component]] = {
    "backbone": BACKBONES,
    "attention": ATTENTIONS,
    "neck": NECKS,
    "neck_attention": ATTENTIONS,
    "context": CONTEXTS,
    "shuffle": SHUFFLES,
    "head": HEADS,
}
"""Slot → the registry of its parts."""

_BEFORE_NECK = ("attention", "neck")


def component(slot: str, part: Part) -> Component:
    """Return the registered component of ``part``, after checking each option on its own.

    Raises:
        InputError: the part or an option is unknown, an option is missing, or its value is not accepted.
    """
    return _component(slot, part, tuple(type(value) for _, value in part.options))


@cache
def _component(slot: str, part: Part, types: tuple[type, ...]) -> Component:  # noqa: ARG001
    # True and 1 are equal as cache keys, but only one of them may be accepted: the types tell them apart.
    found = REGISTRIES[slot][part.name].item
    for name, value in part.options:
        option = found.option(name)
        if option is None:
            raise unknown_name(f"option of {slot}={part.name}:", name, (o.name for o in found.options))
        if not option.accepts(value):
            raise InputError(f"{slot}.{name}={value!r} is not accepted by {part.name}; allowed: {option.accepted()}")
    for option in found.options:
        if option.name not in part:
            raise InputError(
                f"{slot}={part.name} needs the option '{option.name}' ({option.meaning}): {option.accepted()}"
            )
    return found


def backbone_widths(backbone: Part) -> Levels:
    """Return the channels of the backbone's three maps."""
    channels = component("backbone", backbone).channels
    assert channels is not None, f"backbone {backbone.name} has no function for its channels"
    return channels(**backbone.option_dict())


def neck_widths(neck: Part) -> Levels:
    """Return the channels of the neck's three maps. All later maps have the same number of channels."""
    component("neck", neck)
    width = int(neck.option_dict()["channels"])
    return width, width, width


def inputs_of(slot: str, backbone: Part, neck: Part) -> Levels:
    """Return the input channels of the part in ``slot``, which is not the backbone."""
    return backbone_widths(backbone) if slot in _BEFORE_NECK else neck_widths(neck)


@cache
def misfit(slot: str, part: Part, inputs: Levels) -> Misfit | None:
    """Return why the part cannot be built on maps with these channels, or None if it can."""
    return component(slot, part).misfit(inputs, **part.option_dict())


def misfit_error(slot: str, part: Part, found: Misfit) -> InputError:
    """Return the error for a part that cannot be built."""
    if not found.option:
        return InputError(f"{slot}={part.name} {found.reason}")
    allowed = ", ".join(map(str, found.allowed)) or f"no value; choose another {slot}"
    value = part.option_dict()[found.option]
    return InputError(f"{slot}.{found.option}={value} {found.reason}; allowed: {allowed}")


@dataclass(frozen=True)
class Step:
    """One slot, looked up and checked: the component, its options and its input channels (None for the backbone)."""

    component: Component
    options: dict[str, OptionValue]
    inputs: Levels | None

    def cost(self, height: int, width: int) -> Cost:
        """Return the part's cost for one image of ``height`` × ``width`` pixels."""
        if self.inputs is None:
            return self.component.cost((height, width), **self.options)
        return self.component.cost(self.inputs, level_pixels(height, width), **self.options)


def level_pixels(height: int, width: int) -> Levels:
    """Return the pixels of P3, P4 and P5 for an image: ceil(height / s) · ceil(width / s)."""
    p3, p4, p5 = ((-(-height // stride)) * (-(-width // stride)) for stride in STRIDES)
    return p3, p4, p5


def resolve(arch: ArchConfig) -> dict[str, Step]:
    """Return slot → step in the order of the forward pass. No tensor is created.

    Raises:
        InputError: a name or option is unknown, missing or not accepted, or does not fit its input channels.
    """
    steps: dict[str, Step] = {}
    for slot, part in arch.parts().items():
        found = component(slot, part)
        inputs = None if slot == "backbone" else inputs_of(slot, arch.backbone, arch.neck)
        problem = None if inputs is None else misfit(slot, part, inputs)
        if problem is not None:
            raise misfit_error(slot, part, problem)
        steps[slot] = Step(found, part.option_dict(), inputs)
    return steps


def assemble(arch: ArchConfig) -> Detector:
    """Build the detector on torch's current default device.

    Raises:
        InputError: as ``resolve``.
    """
    steps = resolve(arch)
    parts = {
        slot: step.component.module(**step.options)
        if step.inputs is None
        else step.component.module(step.inputs, **step.options)
        for slot, step in ((slot, steps[slot]) for slot in SLOTS)
    }
    return Detector(**parts, feature_channels=neck_widths(arch.neck)[0])
