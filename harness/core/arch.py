"""``ArchConfig``: the part in each slot of a detector, and its options.

It is plain frozen data: it can be compared, hashed and written as JSON, and needs no tensor library. Only the shape of
the data is checked here; ``harness.models.builder`` checks names and options against the registries.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from harness.errors import InputError

OptionValue = bool | int | float | str

SLOTS = ("backbone", "attention", "neck", "neck_attention", "context", "shuffle", "head")
"""The slots in the order of the forward pass."""

PARTS = {
    "backbone": ("backbone",),
    "attention": ("attention", "neck_attention"),
    "neck": ("neck",),
    "context": ("context",),
    "shuffle": ("shuffle",),
    "head": ("head",),
}
"""Part in the documents → slots. The documents count both attentions as one part."""


@dataclass(frozen=True, order=True)
class Part:
    """What fills a slot: a registered ``name``, and its ``options`` sorted by key."""

    name: str
    options: tuple[tuple[str, OptionValue], ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise InputError(f"a part needs a name, got {self.name!r}")
        for key, value in self.options:
            if not isinstance(value, bool | int | float | str):
                raise InputError(f"option {self.name}.{key}={value!r} must be a bool, int, float or str")
        object.__setattr__(self, "options", tuple(sorted(self.options)))

    def __iter__(self) -> Iterator[str]:
        return (key for key, _ in self.options)

    def option_dict(self) -> dict[str, OptionValue]:
        """Return the options as keyword arguments."""
        return dict(self.options)

    def to_dict(self) -> dict[str, OptionValue]:
        """Return ``{"name": …, option: value, …}``."""
        return {"name": self.name, **dict(self.options)}

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{k}={v}' for k, v in self.options)})" if self.options else self.name


def part(name: str, **options: OptionValue) -> Part:
    """Return a ``Part``, with its options as keyword arguments: ``part("bifpn", channels=74, repeats=2)``."""
    return Part(name, tuple(options.items()))


@dataclass(frozen=True, order=True)
class ArchConfig:
    """A detector as data: one ``Part`` for each of ``SLOTS``.

    ``attention`` follows the backbone and ``neck_attention`` the neck; both take parts of the attention registry. The
    neck's ``channels`` option sets the width of all slots after it.
    """

    backbone: Part
    attention: Part
    neck: Part
    neck_attention: Part
    context: Part
    shuffle: Part
    head: Part

    def __post_init__(self) -> None:
        for field in fields(self):
            if not isinstance(getattr(self, field.name), Part):
                raise InputError(f"arch slot '{field.name}' must be a Part, got {getattr(self, field.name)!r}")

    def parts(self) -> dict[str, Part]:
        """Return slot → part, in the order of the forward pass."""
        return {slot: getattr(self, slot) for slot in SLOTS}

    def to_dict(self) -> dict[str, dict[str, OptionValue]]:
        """Return nested plain data, the inverse of ``from_dict``."""
        return {slot: chosen.to_dict() for slot, chosen in self.parts().items()}

    @classmethod
    def from_dict(cls, data: Any) -> "ArchConfig":
        """Rebuild from ``to_dict``'s form, which a file may hold.

        Raises:
            InputError: a slot is missing, unknown or has no name, or something has another type.
        """
        if not isinstance(data, Mapping) or set(data) != set(SLOTS):
            found = set(data) if isinstance(data, Mapping) else set()
            missing, extra = sorted(set(SLOTS) - found), sorted(found - set(SLOTS))
            raise InputError(f"an arch has the slots {', '.join(SLOTS)}; missing {missing}, unknown {extra}")
        parts: dict[str, Part] = {}
        for slot in SLOTS:
            if not isinstance(data[slot], Mapping) or "name" not in data[slot]:
                raise InputError(f"arch slot '{slot}' has no 'name': {data[slot]!r:.200}")
            options = dict(data[slot])
            parts[slot] = Part(options.pop("name"), tuple(options.items()))
        return cls(**parts)

    def digest(self) -> str:
        """Return 12 hex digits that identify this architecture."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()[:12]

    def __str__(self) -> str:
        return " · ".join(f"{slot}={chosen}" for slot, chosen in self.parts().items())


_MOBILENET = part("mobilenetv1", width=0.25)

MOBILENET_STAGES = part(
    "mobilenetv1_stages", width_p3=64, width_p4=128, width_p5=256, depth_p2=2, depth_p3=2, depth_p4=6, depth_p5=2
)
"""The backbone of all ``ARCHS`` with its widths and depths as options: parameters of the same names and shapes."""

ARCHS: dict[str, ArchConfig] = {
    # The calibrated teacher: 487,103 parameters.
    "v1": ArchConfig(
        backbone=_MOBILENET,
        attention=part("cbam", reduction=48),
        neck=part("bifpn", channels=74, repeats=2),
        neck_attention=part("cbam", reduction=48),
        context=part("conv3x3"),
        shuffle=part("shuffle", groups=2),
        head=part("separate"),
    ),
    # The documented student as it was counted: 256,156 parameters.
    "v2": ArchConfig(
        backbone=_MOBILENET,
        attention=part("cbam_plus", reduction=32, shared_gate=False),
        neck=part("bifpn_light", channels=32, repeats=2, depthwise=True, reduction_factor=1),
        neck_attention=part("cbam_plus", reduction=32, shared_gate=False),
        context=part("ssh_grouped", groups=4, reduction=2),
        shuffle=part("shuffle_conv", groups=4),
        head=part("shared_multi", trunk="none", per_level=True),
    ),
    # The documents' code snippets, taken literally: 268,060 parameters.
    "v2_as_written": ArchConfig(
        backbone=_MOBILENET,
        attention=part("cbam_plus", reduction=32, shared_gate=False),
        neck=part("bifpn_light", channels=32, repeats=2, depthwise=True, reduction_factor=1),
        neck_attention=part("cbam_plus", reduction=32, shared_gate=False),
        context=part("ssh_grouped", groups=4, reduction=0),
        shuffle=part("shuffle", groups=4),
        head=part("shared_multi", trunk="conv", per_level=True),
    ),
    # FeatherFace as its authors released it: 592,371 parameters.
    "featherface": ArchConfig(
        backbone=_MOBILENET,
        attention=part("cbam", reduction=16),
        neck=part("bifpn", channels=64, repeats=3),
        neck_attention=part("cbam", reduction=16),
        context=part("ssh_deform"),
        shuffle=part("shuffle_depthwise"),
        head=part("separate"),
    ),
}
"""The named architectures: those of the documents, and FeatherFace as its authors released it.

Given the same weights, each computes what its reference computes (``tests/models/test_reference.py``; for
``featherface``, the AP of the released weights in ``tests/models/test_released.py``):

- ``v1``: the reference is the implementation behind the documents, without differences.
- ``v2``: the reference is the implementation behind the documents. Its spatial gates concatenate the mean before the
  maximum, here the maximum comes first, so the two input channels of their 7×7 convolutions are swapped.
- ``v2_as_written``: the reference is the documents' snippets. They cannot be run, so what they leave open is as in
  ``v2``.
- ``featherface``: the reference is the released code. Here, its deformable convolution is written in plain PyTorch
  operators.

All of them start training differently from their references in one respect: class biases start at a face probability
of 1 / 8 instead of at random.
"""


def in_stages(arch: ArchConfig) -> ArchConfig:
    """Return the same network with its backbone as ``MOBILENET_STAGES``, as spaces have it that search the backbone.

    A network with another backbone is returned as it is.
    """
    return replace(arch, backbone=MOBILENET_STAGES) if arch.backbone == _MOBILENET else arch
