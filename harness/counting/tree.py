"""One architecture as a tree of modules: parameters, MACs, and output shapes observed in a forward pass."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from harness.core.arch import ArchConfig
from harness.models.wiring import assemble

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Node:
    """A module of a network.

    Attributes:
        path: its name in the detector, such as ``neck.cells.0.p4_up``; empty for the detector itself.
        kind: name of its class.
        params: number of its parameters, those of its children included.
        macs: MACs of the convolutions and linears in it, over all its calls for one image.
        shapes: shapes of the tensors that its calls returned, without the batch: (C, h, w) for a map.
        children: its direct submodules.
    """

    path: str
    kind: str
    params: int
    macs: int
    shapes: tuple[Shape, ...]
    children: tuple["Node", ...]

    @property
    def name(self) -> str:
        """Return the last part of the path."""
        return self.path.rpartition(".")[2]

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain data."""
        return {
            "name": self.name,
            "kind": self.kind,
            "params": self.params,
            "macs": self.macs,
            "shapes": [list(shape) for shape in self.shapes],
            "children": [child.to_dict() for child in self.children],
        }


def tree(arch: ArchConfig, height: int, width: int) -> Node:
    """Run the network on one image of ``height`` × ``width`` pixels, on the meta device, and return its tree.

    Raises:
        InputError: the architecture cannot be built.
    """
    shapes: dict[str, list[Shape]] = {}
    macs: dict[str, int] = {}

    def watch(path: str) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
        def hook(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            if inputs:  # The fusion weights' module has no input, and its output is not a map.
                shapes.setdefault(path, []).extend(tuple(one.shape[1:]) for one in _tensors(output))
            if isinstance(module, nn.Conv1d | nn.Conv2d):
                macs[path] = macs.get(path, 0) + module.weight.numel() * output.numel() // module.out_channels
            elif isinstance(module, nn.Linear):
                macs[path] = macs.get(path, 0) + module.weight.numel() * output.numel() // module.out_features

        return hook

    with torch.device("meta"), torch.no_grad():
        detector = assemble(arch).eval()
        for path, module in detector.named_modules():
            module.register_forward_hook(watch(path))
        detector(torch.zeros(1, 3, height, width))
    return _node("", detector, shapes, macs)


def _node(path: str, module: nn.Module, shapes: dict[str, list[Shape]], macs: dict[str, int]) -> Node:
    prefix = f"{path}." if path else ""
    children = tuple(_node(f"{prefix}{name}", child, shapes, macs) for name, child in module.named_children())
    return Node(
        path=path,
        kind=type(module).__name__.lstrip("_"),
        params=sum(parameter.numel() for parameter in module.parameters()),
        macs=macs.get(path, 0) + sum(child.macs for child in children),
        shapes=tuple(shapes.get(path, ())),
        children=children,
    )


def _tensors(output: Any) -> Iterator[Tensor]:
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, tuple | list):
        for one in output:
            yield from _tensors(one)
