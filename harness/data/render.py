"""Renders training samples on a torch device, as ``harness.data.augment`` renders them with OpenCV.

Crops, resizing methods, colours and flips are those of the plans. Samples resized by the nearest method equal OpenCV's.
Interpolated samples differ by up to two grey levels, because OpenCV's weights are fixed-point numbers. A change of hue
or saturation amplifies this difference in almost grey pixels; ``tests/data/test_on_device.py`` tests the bounds. No
operation waits for the device.

Every sample is resized separately, as a view of its image. All other operations process whole batches.
"""

from collections.abc import Sequence

import cv2
import torch
from torch import Tensor

from harness.core.retinaface import MEAN
from harness.data.augment import SMOOTH, Plan, visible
from harness.models.device import to_device


def render(images: Sequence[Tensor], plans: Sequence[Plan], size: int) -> Tensor:
    """Return the samples (B, 3, size, size) float32 that ``plans`` describe: BGR minus the mean, channels_last.

    Args:
        images: (H, W, 3) uint8 BGR each, all on one device.
        plans: one for each image.
        size: side of the samples, pixels.
    """
    device = images[0].device
    # NaN marks pixels outside the image. All steps below keep it, and at the end it is replaced by the mean.
    samples = torch.full((len(plans), size, size, 3), torch.nan, device=device)
    for sample, image, plan in zip(samples, images, plans, strict=True):
        (x1, x2), (column, width) = visible(plan.left, plan.side, image.shape[1], size)
        (y1, y2), (row, height) = visible(plan.top, plan.side, image.shape[0], size)
        shown = resize(image[y1:y2, x1:x2], width, height, plan.method)
        sample[row : row + height, column : column + width] = shown
    samples = recolour(samples.round_().clamp_(0, 255), plans)
    flipped = to_device(torch.tensor([plan.flip for plan in plans]), device)
    samples = torch.where(flipped[:, None, None, None], samples.flip(2), samples)
    for channel, mean in enumerate(MEAN):
        samples[..., channel] -= mean
    return samples.nan_to_num_(0.0).permute(0, 3, 1, 2)


def resize(image: Tensor, width: int, height: int, method: int) -> Tensor:
    """Return ``image`` (H, W, 3) uint8 resized to (height, width, 3); not rounded and, if cubic, not clipped."""
    if method == cv2.INTER_NEAREST:
        rows, columns = _nearest(image.shape[0], height, image.device), _nearest(image.shape[1], width, image.device)
        return image.index_select(0, rows).index_select(1, columns)
    planes = image.permute(2, 0, 1)[None].float()
    if method == SMOOTH:
        while planes.shape[2] >= 2 * height and planes.shape[3] >= 2 * width:
            # OpenCV rounds halves up.
            planes = (halve(halve(planes).mT).mT + 0.5).floor_()
    # Called directly: in deterministic mode, torch.nn.functional.interpolate uses many small kernels so that gradients
    # are deterministic. No gradients are needed here.
    cubic = method == cv2.INTER_CUBIC
    interpolate = torch.ops.aten.upsample_bicubic2d if cubic else torch.ops.aten.upsample_bilinear2d
    resized: Tensor = interpolate(planes, (height, width), align_corners=False)
    return resized[0].permute(1, 2, 0)


def _nearest(length: int, wanted: int, device: torch.device) -> Tensor:
    """Return the source pixel of each of ``wanted`` pixels of a row of ``length``, with OpenCV's arithmetic."""
    step = 1 / (wanted / length)
    return (torch.arange(wanted, dtype=torch.float64, device=device) * step).long().clamp_(max=length - 1)


def halve(values: Tensor) -> Tensor:
    """Return ``values`` (…, n) averaged over equal areas to (…, n // 2), as OpenCV's ``INTER_AREA`` does.

    For odd n, an area is slightly longer than two pixels, so it includes parts of a first and of a third pixel.
    """
    half = values.shape[-1] // 2
    first, second = values[..., 0 : 2 * half : 2], values[..., 1 : 2 * half : 2]
    if values.shape[-1] == 2 * half:
        return (first + second) / 2
    part = torch.arange(half, device=values.device) / half
    return ((1 - part) * first + second + (part + 1 / half) * values[..., 2::2]) / (2 + 1 / half)


def recolour(samples: Tensor, plans: Sequence[Plan]) -> Tensor:
    """Return ``samples`` (B, H, W, 3), whole values from 0 to 255, with the colours of ``plans``."""
    drawn = to_device(torch.tensor([plan.colours for plan in plans], dtype=torch.float32), samples.device)
    brightness, contrast, saturation, hue, late_contrast, in_hsv = drawn[:, :, None, None, None].unbind(1)
    samples = (samples + brightness).clamp_(0, 255).mul_(contrast).clamp_(0, 255).floor_()
    samples = torch.where(in_hsv > 0, _saturate(samples, saturation[..., 0], hue[..., 0]), samples)
    return samples.mul_(late_contrast).clamp_(0, 255).floor_()


def _saturate(samples: Tensor, saturation: Tensor, hue: Tensor) -> Tensor:
    """Change saturation and hue by way of OpenCV's HSV: hues of 180, saturations and values of 255, whole numbers."""
    blue, green, red = samples.unbind(-1)
    value = samples.amax(-1)
    chroma = value - samples.amin(-1)
    below = torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma)
    turn = (_share(torch.where(value == red, green - blue, below), chroma, 30) + hue) % 180 / 30
    paint = (_share(chroma, value, 255) * saturation).clamp_(0, 255).floor_() / 255
    # By how much blue, green and red are below the value (Smith, Color gamut transform pairs, SIGGRAPH 1978).
    away = (turn[..., None] + torch.arange(1, 7, 2, device=samples.device)) % 6
    drop = torch.minimum(away, 4 - away).clamp_(0, 1)
    # OpenCV's vector code cuts here. Its scalar code, for the last columns of odd widths, rounds.
    return (value[..., None] * (1 - paint[..., None] * drop)).floor_()


def _share(part: Tensor, of: Tensor, scale: int) -> Tensor:
    """Return ``part / of * scale`` as a whole number, with OpenCV's reciprocals of 12 binary digits."""
    reciprocal = (scale * 4096 / of.clamp(min=1)).round_()
    return ((part * reciprocal + 2048) / 4096).floor_()
