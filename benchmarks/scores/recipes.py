"""The cheaper trainings: each changes one setting of the full training."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from harness.core.data import DataConfig
from harness.core.protocol import StudyConfig
from harness.core.retinaface import STRIDES
from harness.core.training import TrainConfig

FULL = "full"
"""Name of the full training, which a few candidates repeat for a measure of its cost."""

_MULTIPLE = max(STRIDES)


@dataclass(frozen=True)
class Recipe:
    """A training: its schedule, its images, and in words what it changes; evaluated once, at the end."""

    train: TrainConfig
    data: DataConfig
    detail: str = ""


def recipes(config: StudyConfig, images: int, longest: int) -> Mapping[str, Recipe]:
    """Return name → training, for the full one and those of the catalogue.

    Args:
        config: protocol of the full training.
        images: number of training images.
        longest: longest side of the images of the search split, pixels.
    """
    epochs, data = config.train.epochs, config.data
    full = replace(config.train, evaluate_every=epochs)
    side, evaluated = halved(data.size), round((data.eval_side or longest) / 2)

    def shorter(parts: int) -> Recipe:
        fewer = max(1, round(epochs / parts))
        return Recipe(replace(full, epochs=fewer, evaluate_every=fewer), data, f"{fewer} of {epochs} epochs")

    return {
        FULL: Recipe(full, data),
        "eighth_epochs": shorter(8),
        "quarter_epochs": shorter(4),
        "half_epochs": shorter(2),
        "frozen": Recipe(replace(full, frozen_stages=len(STRIDES)), data, "the maps of the backbone are not kept"),
        "half_images": Recipe(
            full, replace(data, train_images=max(1, images // 2)), f"{images // 2:,} of {images:,} images"
        ),
        "half_side": Recipe(
            full,
            replace(data, size=side, eval_side=evaluated),
            f"crops of {side} instead of {data.size} pixels; the search images are resized to a longest side of "
            f"{evaluated} pixels",
        ),
    }


def halved(side: int) -> int:
    """Return half of a side, rounded to a multiple of the largest stride, and at least that."""
    return max(_MULTIPLE, _MULTIPLE * round(side / 2 / _MULTIPLE))
