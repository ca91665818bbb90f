"""A backbone takes over weights of one with other widths and depths, by slices.

MobileNetV1's family is a chain: every layer reads the channels of the layer before it. The choice of a block's output
channels decides which rows of its pointwise convolution and BatchNorm are taken, which channels of the depthwise
convolution and BatchNorm that follow, and which columns of the pointwise convolution after these.
"""

import itertools
import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from harness.errors import InputError
from harness.models.modules.backbone import MobileNet

Choose = Callable[[Tensor, int], Tensor]
"""(Filters (N, …), number) → the ascending indices of that many filters, or of all if there are fewer."""


def leading(filters: Tensor, number: int) -> Tensor:
    """Return the indices of the first filters."""
    return torch.arange(min(number, len(filters)))


def fpgm(filters: Tensor, number: int) -> Tensor:
    """Return the indices of the filters with the largest sums of Euclidean distances to the others.

    What is left out lies nearest to the geometric median of the layer's filters, and can be represented by the others
    (filter pruning via geometric median, arXiv 1811.00250). Of equal filters, the first are kept.
    """
    flat = filters.flatten(1).double()
    distances = torch.cdist(flat, flat, compute_mode="donot_use_mm_for_euclid_dist").sum(1)
    return distances.argsort(descending=True, stable=True)[:number].sort().values


class _Place(NamedTuple):
    """Where a layer (the stem or a block) stands: number of its run of layers of equal width, position in the run."""

    run: int
    position: int


_RUNS = (1, 1, 1, 1, 2, 3)
"""Stage of each run: the stem, then the blocks at strides 2, 4, 8, 16 and 32."""

_TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
"""Tensors of a BatchNorm; a convolution has the first only."""


def is_chain(tensors: Mapping[str, Tensor]) -> bool:
    """Return whether these are the tensors of a ``MobileNet`` in which each stride has its own width."""
    return bool(_layers(tensors))


def inherit(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], choose: Choose = leading) -> dict[str, Tensor]:
    """Return the tensors of ``wanted``, with the weights of ``given`` where it has some.

    - Block n at a stride takes weights of block n at that stride. A block that ``given`` lacks stays fresh.
    - A narrower layer takes the channels that ``choose`` returns for the filters of the stem or of the block.
    - A wider layer takes all channels. Its other channels stay fresh. The filters that were taken have weight zero for
      them, and compute what they did before.

    Args:
        wanted: name → tensor of the backbone to initialise, with fresh weights.
        given: name → tensor of a trained backbone.
        choose: chooses channels where ``wanted`` is narrower.

    Raises:
        InputError: one of the two is no chain (``is_chain``).
    """
    ours, theirs = _layers(wanted), _layers(given)
    if not ours or not theirs:
        raise InputError(
            f"the {'given' if ours else 'wanted'} tensors are not those of a MobileNetV1 in which each stride has its "
            "own width: weights of other backbones cannot be taken over by slices"
        )
    widths = {place.run: len(wanted[_filters(place, name)]) for place, name in ours.items()}
    answer = {name: value.clone() for name, value in wanted.items()}
    inputs = torch.arange(3)  # The image's channels.
    for place, source in theirs.items():
        outputs = choose(given[_filters(place, source)], widths[place.run])
        if place in ours:
            for number, rows, columns in _slices(place, inputs, outputs):
                for tensor in _TENSORS:
                    name = f"{number}.{tensor}"
                    if f"{source}.{name}" in given:
                        _write(answer[f"{ours[place]}.{name}"], given[f"{source}.{name}"], rows, columns)
        inputs = outputs
    return answer


def _filters(place: _Place, layer: str) -> str:
    """Return the name of the filters that compute a layer's outputs."""
    return f"{layer}.0.weight" if place.run == 0 else f"{layer}.3.weight"


def _slices(place: _Place, inputs: Tensor, outputs: Tensor) -> list[tuple[int, Tensor, Tensor | None]]:
    """Return number, rows and (of a dense convolution only) columns of each convolution and BatchNorm of a layer."""
    if place.run == 0:
        return [(0, outputs, inputs), (1, outputs, None)]
    return [(0, inputs, None), (1, inputs, None), (3, outputs, inputs), (4, outputs, None)]


def _write(fresh: Tensor, trained: Tensor, rows: Tensor, columns: Tensor | None) -> None:
    """Write rows and columns of ``trained`` in front of ``fresh``; the rest of the written rows becomes zero."""
    if trained.ndim == 0:
        fresh.copy_(trained)
    elif columns is None:
        fresh[: len(rows)] = trained[rows]
    else:
        fresh[: len(rows)] = 0
        fresh[: len(rows), : len(columns)] = trained[rows][:, columns]


def _layers(tensors: Mapping[str, Tensor]) -> dict[_Place, str]:
    """Return place → prefix of a layer's names, in the order of the forward pass; empty if the tensors are no chain."""
    matches = (re.match(r"stage(\d+)\.(\d+)\.", name) for name in tensors)
    numbers = sorted({(int(match[1]), int(match[2])) for match in matches if match})
    layers: list[tuple[int, int, str]] = []
    for stage, number in numbers:
        layer = f"stage{stage}.{number}"
        filters = tensors.get(_filters(_Place(len(layers), 0), layer))
        if filters is None or filters.ndim != 4:
            return {}
        layers.append((stage, len(filters), layer))
    runs = [list(run) for _, run in itertools.groupby(layers, key=lambda layer: layer[:2])]
    if tuple(run[0][0] for run in runs) != _RUNS:
        return {}
    # Strides change no shape.
    first, second, third = (
        tuple((width, 1) for where, width, _ in layers[1:] if where == stage) for stage in (1, 2, 3)
    )
    with torch.device("meta"):
        chain = MobileNet(layers[0][1], (first, second, third)).state_dict()
    if _shapes(chain) != _shapes(tensors):
        return {}
    return {_Place(run, position): layer[2] for run, found in enumerate(runs) for position, layer in enumerate(found)}


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in tensors.items()}
