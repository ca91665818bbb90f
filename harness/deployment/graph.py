"""``Deployed``: a detector from pixels to decoded boxes, as one module that can be exported."""

import copy

import torch
from torch import Tensor, nn

from harness.core.retinaface import MEAN
from harness.deployment.formulation import reformulate
from harness.detection.boxes import decode, decode_landmarks, grid_priors
from harness.models.detector import Detector
from harness.models.fold import freeze


class Deployed(nn.Module):
    """An image → a box, a score and five landmarks for every prior. Suppression is left to the caller.

    Args:
        detector: the network; a copy is frozen and, if ``faster``, rewritten for ONNX Runtime.
        faster: whether to rewrite it (``harness.deployment.formulation``).
    """

    mean: Tensor

    def __init__(self, detector: Detector, *, faster: bool = True) -> None:
        super().__init__()
        self.detector = copy.deepcopy(detector).cpu()
        freeze(self.detector)
        if faster:
            reformulate(self.detector)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (1, H, W, 3) uint8, BGR, of any size, to boxes (1, A, 4), scores (1, A) and landmarks (1, A, 10).

        Boxes x1, y1, x2, y2 and landmarks x, y are in pixels of the input; scores are face probabilities.
        """
        _, height, width, _ = image.shape
        raw = self.detector.raw(image.permute(0, 3, 1, 2).float() - self.mean)
        priors = grid_priors(height, width)
        # The softmax of two classes is the sigmoid of their difference.
        scores = torch.sigmoid(raw.classes[..., 1:] - raw.classes[..., :1]).squeeze(-1)
        return decode(raw.boxes, priors), scores, decode_landmarks(raw.landmarks, priors)
