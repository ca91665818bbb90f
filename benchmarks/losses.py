"""Time of the loss with crowded images; the aim is at most a tenth of a training step."""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.steps import BATCH, bare_network, bare_step
from benchmarks.timing import Case, Given, Variant
from harness.core.training import TrainConfig
from harness.detection.boxes import make_priors
from harness.detection.losses import multibox_loss
from harness.detection.matching import Targets, match

FACES = 100


def cases(given: Given) -> Iterator[Case]:
    """Yield sizes. The finding: time of the loss and its gradient over that of V2's forward and backward pass."""
    for size in (64,) if given.quick else (128, 320, 640):
        yield _case(size)


def crowd(size: int) -> Targets:
    """Return ``FACES`` faces in each image of a batch, 8 to 64 pixels high, with landmarks."""
    random = torch.Generator().manual_seed(0)
    count = BATCH * FACES
    sides = 8 * 8 ** torch.rand((count, 1), generator=random)
    corner = torch.rand((count, 2), generator=random) * (size - sides).clamp(min=0)
    points = corner.repeat(1, 5) + sides * torch.rand((count, 10), generator=random)
    return Targets(torch.cat((corner, corner + sides), 1), points, (FACES,) * BATCH)


def _case(size: int) -> Case:
    network, targets, priors, config = bare_network("v2"), crowd(size), make_priors(size, size), TrainConfig()
    images = 60 * torch.randn((BATCH, 3, size, size), generator=torch.Generator().manual_seed(0))
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        output = network.raw(images)
    output = output._replace(
        boxes=output.boxes.requires_grad_(),
        classes=output.classes.requires_grad_(),
        landmarks=output.landmarks.requires_grad_(),
    )

    def loss() -> tuple[Tensor, ...]:
        total = multibox_loss(output, targets, priors, config).total
        return torch.autograd.grad(total, (output.boxes, output.classes, output.landmarks))

    return Case(
        f"{BATCH} images of {size}×{size}",
        Variant(f"loss with {FACES} faces per image", loss),
        Variant("V2's forward and backward", lambda: bare_step(network, images)),
        rounds=7 if size == 640 else 15,
        facts={"positive_priors": int((match(targets, priors).face >= 0).sum()), "priors": BATCH * len(priors)},
    )
