"""Folds BatchNorms into the convolutions straight before them, for inference."""

import itertools

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


def freeze(network: nn.Module) -> None:
    """Prepare a network for inference: eval mode, no gradients, each BatchNorm folded into the convolution before it.

    The outputs stay the same up to rounding. The network can no longer be trained, and no weights can be loaded into
    it, because the folded BatchNorms are missing from its state dict.
    """
    network.requires_grad_(False).eval()
    for block in list(network.modules()):
        if isinstance(block, nn.Sequential):
            for index, (first, second) in enumerate(itertools.pairwise(list(block))):
                if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                    block[index] = fuse_conv_bn_eval(first, second).requires_grad_(False)
                    block[index + 1] = nn.Identity().eval()
