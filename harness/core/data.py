"""Settings of the images."""

from dataclasses import dataclass

from harness.core.limits import require, require_bounded


@dataclass(frozen=True)
class DataConfig:
    """The images for training and evaluation, and their sizes.

    Attributes:
        source: ``synthetic``, or the folder of a WIDER FACE copy.
        size: side of the square training crop, pixels.
        train_images: number of training images; 0 uses all that are not held out (synthetic: must be positive).
        search_images: number of images of the search split; must be positive. Every choice reads this split: objective,
            pruning, best epoch, early stopping. It consists of generated scenes, or of images held out of the folder's
            training images.
        val_images: number of validation images; 0 uses all (synthetic: must be positive). No choice reads them.
        eval_side: longest side to which an image is resized for evaluation, pixels; 0 keeps its original size.
        landmark_images: number of training images with landmarks that are held out to measure the landmark error,
            because WIDER FACE's validation images have no landmarks. Must be 0 for synthetic scenes, which all have
            landmarks.
        seed: seed of the synthetic scenes and of the draw of images.
    """

    source: str = "synthetic"
    size: int = 128
    train_images: int = 1_200
    search_images: int = 400
    val_images: int = 400
    eval_side: int = 0
    landmark_images: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        require_bounded(self)
        require(self.size >= 32 and self.size % 32 == 0, f"size must be a multiple of 32, got {self.size}")
        for name in ("train_images", "val_images", "eval_side", "landmark_images"):
            require(getattr(self, name) >= 0, f"{name} must not be negative, got {getattr(self, name)}")
        require(
            self.search_images > 0,
            f"search_images must be positive, because every choice reads the search split, got {self.search_images}",
        )
        if self.source == "synthetic":
            require(
                self.train_images > 0 and self.val_images > 0,
                "synthetic data needs train_images and val_images above 0, "
                f"got {self.train_images} and {self.val_images}",
            )
            require(
                self.landmark_images == 0,
                f"synthetic validation images have landmarks: landmark_images must be 0, got {self.landmark_images}",
            )

    def images(self, split: str) -> int:
        """Return the configured number of images of ``train``, ``search``, ``val`` or ``landmarks``."""
        return {
            "train": self.train_images,
            "search": self.search_images,
            "val": self.val_images,
            "landmarks": self.landmark_images,
        }[split]
