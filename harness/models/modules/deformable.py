"""Modulated deformable convolution (DCNv2, Zhu et al., arXiv 1811.11168, equation 1) in plain PyTorch operators.

For taps k at positions p_k, with offsets Δp_k and masks Δm_k computed from the input at every pixel p::

    y(p) = Σ_k  Δm_k(p) · w_k · x(p + p_k + Δp_k(p))

x between pixels is interpolated bilinearly, with zeros outside the map: a sample less than one pixel outside still gets
a share of the border.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from harness.models.modules.conv import conv_cost, conv_norm_cost
from harness.models.modules.part import Cost

_KERNEL = 3
_TAPS = _KERNEL * _KERNEL


def deformable_conv(image: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Return the modulated deformable 3×3 convolution at stride 1, one zero-padded pixel at each border.

    A tap's weights and its sampling commute. The weights are applied first, because that leaves fewer channels to
    sample. Taps are computed one after the other, because nine maps do not fit into the CPU's cache at once.

    Args:
        image: (B, C, h, w).
        offset: (B, 18, h, w), pixels; offset in y and then in x for each tap, taps row by row.
        mask: (B, 9, h, w), a factor for each tap.
        weight: (O, C, 3, 3).

    Returns:
        (B, O, h, w).
    """
    # grid_sample is fastest when the pixels of a channel lie next to each other.
    image = image.contiguous()
    taps = weight.flatten(2).permute(2, 0, 1)[..., None, None]
    answer = torch.zeros((), device=image.device, dtype=image.dtype)
    for tap, grid, factor in zip(taps, _grids(offset), mask[:, :, None].unbind(1), strict=True):
        sampled = F.grid_sample(F.conv2d(image, tap), grid, align_corners=False)
        answer = torch.addcmul(answer, sampled, factor)
    return answer


def _grids(offset: Tensor) -> tuple[Tensor, ...]:
    """Return the sampling positions of each tap, (B, h, w, 2): x and y, -1 and 1 at the map's outer edges."""
    batch, _, height, width = offset.shape
    y, x = offset.contiguous().view(batch, _TAPS, 2, height, width).unbind(2)
    tap = torch.arange(_TAPS, device=offset.device, dtype=offset.dtype).view(_TAPS, 1, 1)
    row = torch.arange(height, device=offset.device, dtype=offset.dtype).view(height, 1)
    column = torch.arange(width, device=offset.device, dtype=offset.dtype)
    # A tap is -1, 0 or 1 pixels from the centre, and a pixel's centre half a pixel from its edge: 0.5 - 1 = -0.5.
    across = (column + tap % _KERNEL - 0.5) * (2 / width) - 1
    down = (row + tap.div(_KERNEL, rounding_mode="floor") - 0.5) * (2 / height) - 1
    return torch.stack((x * (2 / width) + across, y * (2 / height) + down), -1).unbind(1)


class DeformableConv(nn.Conv2d):
    """A modulated deformable 3×3 convolution without bias: (B, C, h, w) → (B, O, h, w).

    Two ordinary 3×3 convolutions of the input compute the offsets and, through 2 · sigmoid, the masks. Their weights
    and biases start at zero, so that training starts from a plain convolution with the same weights (arXiv 1811.11168,
    section 3.2; there, masks are a sigmoid and start at 1 / 2, here they start at 1).

    It is a subclass of ``Conv2d``, so that a BatchNorm after it can be folded into it.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, _KERNEL, padding=1, bias=False)
        self.offset = nn.Conv2d(inputs, 2 * _TAPS, _KERNEL, padding=1)
        self.modulator = nn.Conv2d(inputs, _TAPS, _KERNEL, padding=1)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights, and set those of the convolutions inside to zero."""
        super().reset_parameters()
        for inner in self.children():
            for parameter in inner.parameters():
                nn.init.zeros_(parameter)

    def forward(self, image: Tensor) -> Tensor:
        """Return the convolution, plus the bias if a BatchNorm was folded into it."""
        mask = 2 * torch.sigmoid(self.modulator(image))
        answer = deformable_conv(image, self.offset(image), mask, self.weight)
        return answer if self.bias is None else answer + self.bias[:, None, None]


def deformable_norm(inputs: int, outputs: int, activation: nn.Module | None = None) -> nn.Sequential:
    """Return deformable convolution → BatchNorm → activation."""
    layers = [DeformableConv(inputs, outputs), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([] if activation is None else [activation]))


def deformable_norm_cost(inputs: int, outputs: int, positions: int = 0) -> Cost:
    """Return the cost of ``deformable_norm``; its MACs are those of the convolutions, without the sampling."""
    steering = conv_cost(inputs, 2 * _TAPS + _TAPS, _KERNEL, positions, bias=True)
    return steering + conv_norm_cost(inputs, outputs, _KERNEL, positions)
