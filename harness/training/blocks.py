"""Blocks: the parameters of an optimizer group in one piece of memory, and their gradients in another.

A network of some hundred small tensors costs the optimizer a call per tensor, which at small inputs takes longer than
the arithmetic. Clipping and AdamW work element by element, so that on a block they compute what they do on its
parts; only the norm is summed in another order. PyTorch's DistributedDataParallel keeps gradients in the same way
(``gradient_as_bucket_view``).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def block(parameters: Sequence[nn.Parameter]) -> nn.Parameter:
    """Move parameters into one block and return it, with their gradients, all zero, as its gradient.

    Parameters and gradients become views: a step over the block changes the parameters, and a backward pass adds to the
    block's gradient. They keep their memory format. Nothing may replace them later: gradients are set to zero, not to
    None, and the network does not move to another device.

    Args:
        parameters: of one device and type, each dense in memory, as new ones are.
    """
    count = sum(parameter.numel() for parameter in parameters)
    whole = nn.Parameter(parameters[0].detach().new_empty(count))
    whole.grad = torch.zeros_like(whole)
    start = 0
    for parameter in parameters:
        part = _part(whole.detach(), parameter, start)
        part.copy_(parameter.detach())
        parameter.data, parameter.grad = part, _part(whole.grad, parameter, start)
        start += parameter.numel()
    return whole


def _part(whole: Tensor, like: Tensor, start: int) -> Tensor:
    return whole.as_strided(like.shape, like.stride(), start)
