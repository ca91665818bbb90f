"""Priors, encoding of boxes and landmarks relative to them, and IoU.

Boxes are (x1, y1, x2, y2) and priors (cx, cy, w, h), both in pixels of the network's input. Offsets follow SSD
(Liu et al., arXiv 1512.02325, equation 2) with the variances 0.1 and 0.2. Landmarks are encoded as in RetinaFace
(Deng et al., arXiv 1905.00641).
"""

import math
from functools import lru_cache

import torch
from torch import Tensor

from harness.core.retinaface import ANCHORS, STRIDES

CENTRE_VARIANCE = 0.1
SIZE_VARIANCE = 0.2
LARGEST_GROWTH = math.log(1000 / 16)


@lru_cache(maxsize=64)
def make_priors(height: int, width: int) -> Tensor:
    """Return ``grid_priors``, cached and shared: do not change the tensor in place."""
    return grid_priors(height, width)


def grid_priors(height: int, width: int) -> Tensor:
    """Return the priors of a ``height`` × ``width`` input: float32 (A, 4) as (cx, cy, w, h) in pixels.

    The map at stride s has ⌈height/s⌉ × ⌈width/s⌉ cells. Order: stride, row, column, anchor.
    """
    levels = []
    for stride, sides in zip(STRIDES, ANCHORS, strict=True):
        # Not -(-height // stride): ONNX rounds the quotients of exported networks towards zero.
        rows, columns = (height + stride - 1) // stride, (width + stride - 1) // stride
        cy, cx, side = torch.meshgrid(
            (torch.arange(rows, dtype=torch.float32) + 0.5) * stride,
            (torch.arange(columns, dtype=torch.float32) + 0.5) * stride,
            torch.tensor(sides, dtype=torch.float32),
            indexing="ij",
        )
        levels.append(torch.stack((cx, cy, side, side), dim=-1).reshape(-1, 4))
    return torch.cat(levels)


def corners(priors: Tensor) -> Tensor:
    """Return (…, 4) centre-size boxes as (x1, y1, x2, y2)."""
    half = priors[..., 2:] / 2
    return torch.cat((priors[..., :2] - half, priors[..., :2] + half), dim=-1)


def encode(boxes: Tensor, priors: Tensor) -> Tensor:
    """Return the (…, 4) offsets of ``boxes`` (…, 4) from ``priors`` (…, 4). A box must have a positive size."""
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2
    size = boxes[..., 2:] - boxes[..., :2]
    return torch.cat(
        (
            (centre - priors[..., :2]) / (CENTRE_VARIANCE * priors[..., 2:]),
            torch.log(size / priors[..., 2:]) / SIZE_VARIANCE,
        ),
        dim=-1,
    )


def decode(offsets: Tensor, priors: Tensor) -> Tensor:
    """Return the boxes (…, 4) that ``offsets`` (…, 4) describe, the inverse of ``encode``.

    A side is clamped to 62.5 times its prior's side, as in torchvision's ``BoxCoder``, because the exponential of an
    untrained network's output may overflow.
    """
    centre = priors[..., :2] + offsets[..., :2] * CENTRE_VARIANCE * priors[..., 2:]
    half = priors[..., 2:] * torch.exp((offsets[..., 2:] * SIZE_VARIANCE).clamp(max=LARGEST_GROWTH)) / 2
    return torch.cat((centre - half, centre + half), dim=-1)


def encode_landmarks(landmarks: Tensor, priors: Tensor) -> Tensor:
    """Return the (…, 10) offsets of five points (x1, y1, …, x5, y5) from the centres of ``priors`` (…, 4)."""
    points = landmarks.reshape(*landmarks.shape[:-1], 5, 2)
    offsets = (points - priors[..., None, :2]) / (CENTRE_VARIANCE * priors[..., None, 2:])
    return offsets.flatten(-2)


def decode_landmarks(offsets: Tensor, priors: Tensor) -> Tensor:
    """Return the (…, 10) points that ``offsets`` (…, 10) describe, the inverse of ``encode_landmarks``."""
    # Operands of equal shape: ONNX Runtime takes several times longer to repeat the last axis while it multiplies.
    centre, side = (torch.cat((part,) * 5, dim=-1) for part in (priors[..., :2], priors[..., 2:]))
    return centre + offsets * CENTRE_VARIANCE * side


@torch.no_grad()
def iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the IoU (…, N, M) of boxes ``a`` (…, N, 4) and ``b`` (…, M, 4); 0 where both are empty. No gradient."""
    # One contiguous coordinate at a time, so that the (…, N, M) operations are vectorised: ten times faster than pairs.
    ax1, ay1, ax2, ay2 = a.movedim(-1, 0).contiguous()[..., :, None]
    bx1, by1, bx2, by2 = b.movedim(-1, 0).contiguous()[..., None, :]
    shared = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp_(min=0)
    shared *= (torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp_(min=0)
    union = ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1)).sub_(shared)
    return shared.div_(union.clamp_(min=torch.finfo(union.dtype).tiny))
