"""``Imitation``: the maps of all networks of a space imitate a teacher's, slot by slot.

Parts that take each other's place in a slot learn slowly if each gives its maps a meaning of its own, because the parts
after them must understand all of them. Here the maps after each slot between neck and heads imitate the teacher's after
the same slot, through one 1×1 convolution per slot and level that all networks share. So they agree from early on. This
is the supervision of blockwise search (Li et al., arXiv 1911.13053), where blocks are trained apart.
"""

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.core.arch import SLOTS
from harness.core.retinaface import STRIDES
from harness.core.space import SearchSpace
from harness.models.modules.part import Features
from harness.models.wiring import neck_widths

BETWEEN = SLOTS[SLOTS.index("neck") : SLOTS.index("head")]
"""The slots after which maps are imitated."""

_SMALLEST_VARIANCE = 1e-6


class Imitation(nn.Module):
    """The adapters that all networks share: one 1×1 convolution for each slot of ``BETWEEN`` and each level.

    Args:
        widest: largest number of channels of a network's maps; narrower maps use the leading columns.
        width: the teacher's number of channels.
    """

    def __init__(self, widest: int, width: int) -> None:
        super().__init__()
        self.adapters = nn.ModuleDict(
            {slot: nn.ModuleList(nn.Conv2d(widest, width, 1) for _ in STRIDES) for slot in BETWEEN}
        )

    def loss(self, ours: Mapping[str, Features], theirs: Mapping[str, Features]) -> Tensor:
        """Return the mean over slots and levels of the squared error over the variance of the teacher's map."""
        errors = []
        for slot in BETWEEN:
            adapters = cast(nn.ModuleList, self.adapters[slot])
            for adapter, image, wanted in zip(adapters, ours[slot], theirs[slot], strict=True):
                assert isinstance(adapter, nn.Conv2d)
                adapted = F.conv2d(image, adapter.weight[:, : image.shape[1]], adapter.bias).float()
                errors.append(F.mse_loss(adapted, wanted) / wanted.var().clamp(min=_SMALLEST_VARIANCE))
        return torch.stack(errors).mean()


def widest_neck(space: SearchSpace) -> int:
    """Return the largest number of channels of a neck of the space."""
    return max(neck_widths(space.arch(chosen).neck)[0] for chosen in space.group_configurations("neck"))
