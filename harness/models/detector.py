"""``Detector``: runs the seven parts one after the other. It knows neither registries nor options."""

from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from harness.models.modules.part import Features


class RawOutput(NamedTuple):
    """The heads' outputs before any softmax, for A = 2 · Σ ceil(H / s) · ceil(W / s) priors at strides s = 8, 16, 32.

    Attributes:
        boxes: (B, A, 4) encoded offsets.
        classes: (B, A, 2) logits, background first.
        landmarks: (B, A, 10) encoded offsets.
        features: the three maps that enter the heads, (B, C, h, w) each.
    """

    boxes: Tensor
    classes: Tensor
    landmarks: Tensor
    features: Features


class Detector(nn.Module):
    """Images (B, 3, H, W) of any size → predictions for every prior.

    Attributes:
        feature_channels: channels of the three maps that enter the heads.
    """

    def __init__(
        self,
        *,
        backbone: nn.Module,
        attention: nn.Module,
        neck: nn.Module,
        neck_attention: nn.Module,
        context: nn.Module,
        shuffle: nn.Module,
        head: nn.Module,
        feature_channels: int,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.attention = attention
        self.neck = neck
        self.neck_attention = neck_attention
        self.context = context
        self.shuffle = shuffle
        self.head = head
        self.feature_channels = feature_channels

    def raw(self, images: Tensor) -> RawOutput:
        """Return the heads' outputs, with class logits also in eval mode, and the maps that entered the heads."""
        return self.after(cast(Features, self.backbone(images)))

    def after(self, maps: Features) -> RawOutput:
        """Return what ``raw`` returns, from the backbone's maps P3, P4 and P5, (B, C, h, w) each."""
        features = cast(Features, self.neck(self.attention(maps)))
        features = self.shuffle(self.context(self.neck_attention(features)))
        boxes, classes, landmarks = self.head(features)
        return RawOutput(boxes, classes, landmarks, features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return boxes, classes and landmarks; classes are logits in training mode and probabilities in eval mode."""
        boxes, classes, landmarks, _ = self.raw(images)
        return boxes, classes if self.training else torch.softmax(classes, -1), landmarks
