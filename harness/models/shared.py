"""``SharedWeights``: one set of weights for all networks of a space, from which each network takes slices.

This is the set of weights of one-shot search (Guo et al., "Single Path One-Shot", arXiv 1904.00420). A tensor belongs
to a slot, a part with its options, and a parameter of the part. Axes that are an ``IntRange``, widths and depths, are
not among these options: a network takes the leading channels of the largest tensor (slimmable networks, arXiv
1812.08928) and the parameters of the layers that it has. Widths that depend on other slots, such as the neck's channels
in a head, are sliced in the same way. So every registered part can be shared without code of its own.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.func import functional_call

from harness.core.arch import SLOTS, ArchConfig, Part
from harness.core.space import IntRange, SearchSpace
from harness.models.builder import build
from harness.models.detector import Detector
from harness.models.modules.part import Features, Levels
from harness.models.wiring import component, inputs_of, misfit, resolve

Slices = dict[str, Tensor]

_Key = tuple[str, Part, Levels | None]
"""A slot, its part, and the channels of the maps that it gets (None for the backbone)."""


class SharedWeights:
    """The shared weights of a space's networks. New ones have the initial values of the largest parts.

    Args:
        space: only the axes that change what is built matter.

    Attributes:
        tensors: name → parameter, at the largest shape that a network of the space has.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self._ranges = {axis.name for axis in space.axes if isinstance(axis, IntRange)}
        # Modules only say how a part computes: their own parameters are not used.
        self._modules: dict[_Key, nn.Module] = {}
        self._places: dict[_Key, list[tuple[str, str, torch.Size]]] = {}
        self.tensors: dict[str, nn.Parameter] = {}
        for key in _largest(space, self._name):
            for name, parameter in _module(key).named_parameters():
                self.tensors[f"{self._name(key)}.{name}"] = nn.Parameter(parameter.detach().clone())

    def _name(self, key: _Key) -> str:
        """Return the common name of the parts that share weights."""
        slot, part, _ = key
        kept = {name: value for name, value in part.options if f"{slot}.{name}" not in self._ranges}
        return f"{slot}.{Part(part.name, tuple(kept.items()))}"

    def _keys(self, arch: ArchConfig) -> dict[str, _Key]:
        """Return slot → what is built there, after making sure that its module is known."""
        keys: dict[str, _Key] = {}
        for slot, step in resolve(arch).items():
            key = keys[slot] = slot, arch.parts()[slot], step.inputs
            if key not in self._modules:
                self._modules[key] = _module(key)
                self._places[key] = [
                    (name, f"{self._name(key)}.{name}", parameter.shape)
                    for name, parameter in self._modules[key].named_parameters()
                ]
        return keys

    def slices(self, arch: ArchConfig) -> dict[str, Slices]:
        """Return slot → parameter → its slice: views, through which gradients reach the shared tensors.

        Raises:
            InputError: the architecture cannot be built.
            KeyError, ValueError: the space does not contain it.
        """
        return {
            slot: {name: _leading(self.tensors[shared], shape) for name, shared, shape in self._places[key]}
            for slot, key in self._keys(arch).items()
        }

    def parts(self, arch: ArchConfig) -> dict[str, "SharedPart"]:
        """Return slot → the part, computing with its slices, in train mode."""
        slices = self.slices(arch)
        return {slot: SharedPart(self._modules[key], slices[slot]) for slot, key in self._keys(arch).items()}

    def take(self, arch: ArchConfig) -> Detector:
        """Return a detector of its own with copies of the slices; its BatchNorms' statistics are new."""
        detector = build(arch)
        with torch.no_grad():
            for slot, slices in self.slices(arch).items():
                for name, parameter in detector.get_submodule(slot).named_parameters():
                    parameter.copy_(slices[name])
        return detector

    def put(self, arch: ArchConfig, slot: str, values: Mapping[str, Tensor]) -> None:
        """Write the parameters of one slot of an architecture, such as a trained backbone, into its slices."""
        with torch.no_grad():
            for name, target in self.slices(arch)[slot].items():
                target.copy_(values[name])


class SharedPart:
    """One part of a network, which computes with slices of shared weights."""

    def __init__(self, module: nn.Module, slices: Slices) -> None:
        self._module, self._slices = module, slices

    def __call__(self, given: Any) -> Any:
        """Return what the part computes from images or maps."""
        return functional_call(self._module, self._slices, (given,))


def _largest(space: SearchSpace, name: Callable[[_Key], str]) -> Iterator[_Key]:
    """Yield, of all parts that share weights, the one with the most parameters."""
    parts = {slot: [space.arch(c).parts()[slot] for c in space.group_configurations(slot)] for slot in SLOTS}
    for slot in SLOTS:
        found: dict[str, tuple[int, _Key]] = {}
        for part, inputs in itertools.product(dict.fromkeys(parts[slot]), _inputs(slot, parts)):
            if inputs is not None and misfit(slot, part, inputs) is not None:
                continue
            key = slot, part, inputs
            params = _params(key)
            if name(key) not in found or params > found[name(key)][0]:
                found[name(key)] = params, key
        yield from (key for _, key in found.values())


def _inputs(slot: str, parts: Mapping[str, list[Part]]) -> list[Levels | None]:
    """Return the channels of all maps that the part in a slot can get."""
    if slot == "backbone":
        return [None]
    # They depend on the backbone alone or on the neck alone.
    pairs = [(backbone, parts["neck"][0]) for backbone in dict.fromkeys(parts["backbone"])]
    pairs += [(parts["backbone"][0], neck) for neck in dict.fromkeys(parts["neck"])]
    return list(dict.fromkeys(inputs_of(slot, backbone, neck) for backbone, neck in pairs))


def _module(key: _Key) -> nn.Module:
    slot, part, inputs = key
    made = component(slot, part).module
    module = made(**part.option_dict()) if inputs is None else made(inputs, **part.option_dict())
    return cast(nn.Module, module.to(memory_format=torch.channels_last))  # type: ignore[call-overload]  # not in stubs


def _params(key: _Key) -> int:
    slot, part, inputs = key
    cost = component(slot, part).cost
    found = cost((1, 1), **part.option_dict()) if inputs is None else cost(inputs, (1, 1, 1), **part.option_dict())
    return found.params


def _leading(tensor: Tensor, shape: torch.Size) -> Tensor:
    if any(wanted > there for wanted, there in zip(shape, tensor.shape, strict=True)):
        raise ValueError(f"a slice of {tuple(shape)} is larger than the shared tensor of {tuple(tensor.shape)}")
    return tensor[tuple(slice(length) for length in shape)]


def run(
    parts: Mapping[str, Callable[..., Any]], maps: Features
) -> tuple[dict[str, Features], tuple[Tensor, Tensor, Tensor]]:
    """Run the parts after the backbone. Return slot → its maps, and boxes, class logits and landmarks."""
    between: dict[str, Features] = {}
    features = maps
    for slot in SLOTS[1:-1]:
        features = between[slot] = parts[slot](features)
    return between, parts["head"](features)
