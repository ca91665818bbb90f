"""Settings of a training: schedule, distillation, and weights that candidates share."""

from dataclasses import dataclass

from harness.core.limits import require, require_bounded
from harness.core.retinaface import STRIDES

CROPS = {
    "retinaface": (0.3, 0.45, 0.6, 0.8, 1.0),
    "scrfd": (0.3, 0.45, 0.6, 0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0),
}
"""Sides of the square training crop, as shares of the image's shorter side; above 1 the crop is padded.

``retinaface``: RetinaFace's published code (Deng et al., arXiv 1905.00641). ``scrfd``: the published configurations of
SCRFD (Guo et al., arXiv 2105.04714), whose larger crops shrink the faces.
"""


@dataclass(frozen=True)
class TrainConfig:
    """One training run: AdamW, linear warm-up, cosine decay to zero.

    Attributes:
        epochs: passes over the training images.
        batch: images per step.
        lr: peak learning rate.
        backbone_lr: factor of the backbone's learning rate, in (0, 1].
        frozen_stages: number of the backbone's first stages that are not trained, BatchNorm statistics included.
        weight_decay: AdamW's decoupled weight decay; not applied to biases, norms and fusion weights.
        warmup: share of all steps in which the learning rate rises linearly, in [0, 1).
        clip: largest norm of the gradient; a larger gradient is scaled down to it.
        box_weight, class_weight, landmark_weight: the multibox loss's weights (RetinaFace: 2, 1, 1).
        ignore_unmatched: priors on a face that no prior fits are not mined as negatives, as in ignore regions;
            otherwise they are background, as in RetinaFace's code.
        crops: a name of ``CROPS``.
        large_crops: crops of twice the data's side in each step. The network's inputs then have twice the side. Each of
            them shows either one large crop or four crops of the data's side (a mosaic, Bochkovskiy et al., arXiv
            2004.10934, section 3.4). A large crop replaces four of the ``batch`` others, so that a step has as many
            pixels.
        ema: decay per step of an exponential moving average of the weights, in [0, 1). The averaged weights are
            evaluated and saved (Polyak averaging; Tarvainen and Valpola, arXiv 1703.01780, section 2). 0 keeps no
            average.
        evaluate_every: epochs between two evaluations on the search split; the last epoch is always evaluated.
        patience: epochs without a better mean AP after which training stops early. The network of the best epoch is
            saved, also if training reaches its last epoch. 0 never stops early and saves the network of the last epoch.
    """

    epochs: int = 4
    batch: int = 32
    lr: float = 4e-3
    backbone_lr: float = 1.0
    frozen_stages: int = 0
    weight_decay: float = 5e-4
    warmup: float = 0.1
    clip: float = 10.0
    box_weight: float = 2.0
    class_weight: float = 1.0
    landmark_weight: float = 1.0
    ignore_unmatched: bool = False
    crops: str = "retinaface"
    large_crops: int = 0
    ema: float = 0.0
    evaluate_every: int = 1
    patience: int = 0

    def __post_init__(self) -> None:
        require_bounded(self)
        require(self.epochs > 0, f"epochs must be positive, got {self.epochs}")
        require(self.batch > 0, f"batch must be positive, got {self.batch}")
        require(0 < self.lr < 1, f"lr must lie between 0 and 1, got {self.lr}")
        require(0 < self.backbone_lr <= 1, f"backbone_lr is a factor in (0, 1], got {self.backbone_lr}")
        require(
            0 <= self.frozen_stages <= len(STRIDES),
            f"frozen_stages lies in 0 … {len(STRIDES)}, got {self.frozen_stages}",
        )
        require(self.weight_decay >= 0, f"weight_decay must not be negative, got {self.weight_decay}")
        require(0 <= self.warmup < 1, f"warmup is a share of the steps in [0, 1), got {self.warmup}")
        require(self.clip > 0, f"clip must be positive, got {self.clip}")
        weights = (self.box_weight, self.class_weight, self.landmark_weight)
        require(min(weights) >= 0 and max(weights) > 0, f"loss weights are not negative and not all 0, got {weights}")
        require(self.crops in CROPS, f"unknown crops '{self.crops}' (known: {', '.join(CROPS)})")
        require(
            not self.large_crops or 0 < 4 * self.large_crops < self.batch,
            f"large_crops takes the place of 4 crops each and must leave some of {self.batch}, got {self.large_crops}",
        )
        require(
            not self.large_crops or self.batch % 4 == 0,
            f"batch must be a multiple of 4 with large_crops, got {self.batch}",
        )
        require(0 <= self.ema < 1, f"ema is a decay in [0, 1), got {self.ema}")
        require(self.evaluate_every > 0, f"evaluate_every must be positive, got {self.evaluate_every}")
        require(self.patience >= 0, f"patience must not be negative, got {self.patience}")
        require(
            not self.patience or self.evaluate_every == 1,
            f"patience compares every epoch: evaluate_every must be 1, got {self.evaluate_every}",
        )

    def evaluates(self, epoch: int) -> bool:
        """Return whether the search split is read after ``epoch``, from 1."""
        return epoch % self.evaluate_every == 0 or epoch == self.epochs

    def side(self, size: int) -> int:
        """Return the side of the network's training input for crops of ``size`` pixels."""
        return 2 * size if self.large_crops else size


@dataclass(frozen=True)
class DistillConfig:
    """Weights of the loss (1 - alpha) · ground truth + alpha · imitation + feature_weight · feature.

    The imitation is class_weight · T² · KL + box_weight · box + landmark_weight · landmark.

    Attributes:
        temperature: T, softens both class distributions (Hinton et al., arXiv 1503.02531).
        alpha: weight of the imitation of the teacher's outputs, in [0, 1]; the ground truth has weight 1 - alpha. With
            ``alpha`` and ``feature_weight`` both 0, training uses no teacher.
        box_weight, class_weight, landmark_weight: weights of the imitation terms.
        feature_weight: λ, weight of the feature imitation through trainable 1×1 adapters.
        score_threshold: priors with a face score of the teacher above this are imitated, in addition to the positives.
        conditional: imitate only priors that the teacher classifies as the ground truth does; elsewhere, the ground
            truth of the class has weight 1 (conditional teacher-student learning, Meng et al., arXiv 1904.12399).
    """

    temperature: float = 4.0
    alpha: float = 0.7
    box_weight: float = 1.0
    class_weight: float = 1.0
    landmark_weight: float = 1.0
    feature_weight: float = 0.0
    score_threshold: float = 0.1
    conditional: bool = False

    def __post_init__(self) -> None:
        require(self.temperature > 0, f"temperature must be positive, got {self.temperature}")
        require(0 <= self.alpha <= 1, f"alpha must lie in [0, 1], got {self.alpha}")
        weights = (self.box_weight, self.class_weight, self.landmark_weight)
        require(min(weights) >= 0, f"the imitation's weights must not be negative, got {weights}")
        require(self.feature_weight >= 0, f"feature_weight must not be negative, got {self.feature_weight}")
        require(0 <= self.score_threshold < 1, f"score_threshold lies in [0, 1), got {self.score_threshold}")

    @property
    def uses_teacher(self) -> bool:
        """Whether any term needs the teacher's outputs."""
        return self.alpha > 0 or self.feature_weight > 0

    @property
    def weights(self) -> dict[str, float]:
        """Imitation term → its weight inside the imitation."""
        return {
            "distill_class": self.class_weight,
            "distill_box": self.box_weight,
            "distill_landmark": self.landmark_weight,
        }


@dataclass(frozen=True)
class SharingConfig:
    """One-shot search: candidates are scored by slices of shared weights, and the best ones are trained to the end.

    Attributes:
        train: schedule of the shared weights.
        candidates: networks whose slices are trained in each step.
        imitation: weight of the imitation of the teacher's maps.
        calibration: training batches from which the BatchNorm statistics of the backbone are measured.
        tuning: steps in which a candidate's slices, except the backbone's, are trained before it is scored; 0 trains
            none, and measures all BatchNorm statistics on the ``calibration`` batches. ``tuning_lr``: their peak
            learning rate.
        images: images of the search split on which candidates are scored; 0 uses all.
        side: longest side to which an image is resized for a score, pixels; 0 resizes as for an AP.
        shortlist: number of candidates that are trained for one epoch from their slices before the finalists are chosen
            from them; 0 chooses the finalists by score.
        apart: a candidate of the short list differs from every better one in at least this number of options, because
            a score does not tell siblings apart, and prefers what learns fast.
        finalists: number of candidates that are trained to the end, from their slices: the best of the short list.
        unshared: number of candidates where sharing is turned off, so that all of them are trained to the end.
    """

    train: TrainConfig
    candidates: int = 4
    imitation: float = 5.0
    calibration: int = 16
    tuning: int = 64
    tuning_lr: float = 1e-2
    images: int = 0
    side: int = 0
    shortlist: int = 24
    apart: int = 4
    finalists: int = 4
    unshared: int = 12

    def __post_init__(self) -> None:
        for name in ("candidates", "calibration", "apart", "finalists", "unshared"):
            require(getattr(self, name) > 0, f"{name} must be positive, got {getattr(self, name)}")
        for name in ("tuning", "images", "side", "shortlist"):
            require(getattr(self, name) >= 0, f"{name} must not be negative, got {getattr(self, name)}")
        require(
            not self.shortlist or self.shortlist >= self.finalists,
            f"the finalists are chosen from the short list: shortlist must be at least {self.finalists}, or 0, "
            f"got {self.shortlist}",
        )
        require(self.imitation >= 0, f"imitation must not be negative, got {self.imitation}")
        require(0 < self.tuning_lr < 1, f"tuning_lr must lie between 0 and 1, got {self.tuning_lr}")
        for name in ("ema", "frozen_stages", "patience"):
            require(not getattr(self.train, name), f"shared weights are trained without {name}: give 0")
