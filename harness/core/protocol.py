"""The settings that stay fixed while candidates vary: budget, data, schedule, distillation, evaluation, study.

The classes are frozen. Their constructors refuse settings that cannot be run; the error names the field, the value and
what is accepted.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.core.ablation import Ablation
from harness.core.typed import built
from harness.errors import InputError

STRIDES = (8, 16, 32)
ANCHORS = ((16, 32), (64, 128), (256, 512))
"""Side lengths of the priors at each stride, pixels, as in RetinaFace-MobileNet0.25."""

MEAN = (104.0, 117.0, 123.0)
"""BGR mean that is subtracted from the images, as in RetinaFace."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise InputError(message)


LARGEST_SIDE = 8_192
"""Largest side of an image that a network sees, pixels."""

LARGEST_SEED = 2**32 - 1

_MOST = {
    "size": LARGEST_SIDE,
    "eval_side": LARGEST_SIDE,
    "train_images": 10_000_000,
    "search_images": 10_000_000,
    "val_images": 10_000_000,
    "landmark_images": 10_000_000,
    "epochs": 100_000,
    "batch": 65_536,
    "trials": 1_000_000,
    "window": 1_000_000,
    "seeds": 1_000,
    "macs_size": 100_000,
}
"""Field → largest value; a larger one is a slip that would fill memory or disk."""


def _require_bounded(config: Any) -> None:
    for name, most in _MOST.items():
        value = getattr(config, name, 0)
        _require(value <= most, f"{name} must be at most {most:,}, got {value:,}")
    seed = getattr(config, "seed", 0)
    _require(0 <= seed <= LARGEST_SEED, f"seed lies in 0 … {LARGEST_SEED:,}, got {seed:,}")


LONGEST_NAME = 100
"""Characters; file systems take 255, of which suffixes need some."""

RESERVED = ("cache", "mlartifacts", "predictions", "search_split", "sheets", "teachers")
"""Folders below ``runs/`` that are no studies."""


def check_name(name: str, what: str) -> None:
    """Refuse a name that is unsafe as the name of a folder.

    Raises:
        InputError: ``name`` is empty or too long, begins with '-', or has characters other than ASCII letters, digits,
            '_' and '-'. The message calls it ``what``.
    """
    safe = name and name.isascii() and all(c.isalnum() or c in "_-" for c in name) and name[0] != "-"
    shown = name if len(name) <= LONGEST_NAME else f"{name[:20]}…"
    _require(bool(safe), f"{what} holds letters, digits, '_' and '-' only, and begins with no '-', got '{shown}'")
    _require(len(name) <= LONGEST_NAME, f"{what} has at most {LONGEST_NAME} characters, got {len(name):,}: '{shown}'")


_UNITS = {
    "params": "parameters",
    "with_buffers": "parameters and buffers",
    "deployed": "parameters once deployed",
    "bytes": "bytes of weights",
    "latency": "millionths of V1's latency",
}


@dataclass(frozen=True)
class Measure:
    """One measure of a network's cost.

    Attributes:
        name: ``params`` (every ``nn.Parameter``), ``with_buffers`` (parameters and BatchNorm buffers), ``deployed``
            (parameters after BatchNorms are folded into the convolutions straight before them), ``bytes`` (all tensors
            of the weights file, without its header), ``macs`` (MACs of convolutions and linears) or ``latency``
            (predicted, in units of V1's / ``LATENCY_UNIT``).
        size: side of the square input image for MACs, pixels; 0 for the other measures.
    """

    name: str
    size: int = 0

    def __str__(self) -> str:
        return _UNITS.get(self.name, f"MACs at {self.size}×{self.size}")

    def text(self, value: int) -> str:
        """Return a value with its unit."""
        return f"{value / LATENCY_UNIT:g} × V1's latency" if self.name == "latency" else f"{value:,} {self}"


PARAMS = Measure("params")
LATENCY = Measure("latency")

LATENCY_UNIT = 1_000_000
"""Latencies are counted in V1's latency divided by this: as integers, so that they add up exactly."""


@dataclass(frozen=True)
class Budget:
    """Upper bounds on the cost of a candidate; None is no bound.

    Attributes:
        max_params: number of parameters; every ``nn.Parameter`` counts, frozen or not.
        max_with_buffers: number of elements of all parameters and buffers.
        max_deployed: parameters after folding every BatchNorm into the convolution straight before it.
        max_macs: MACs of convolutions and linears for one image of ``macs_size`` × ``macs_size`` pixels.
        macs_size: side of that image, pixels; used only with ``max_macs``.
        max_bytes: bytes of all tensors of the float32 weights file, buffers included. The file's header, which holds
            names and shapes, is not counted.
        max_latency_ratio: predicted latency as a multiple of V1's. It has no closed form, but needs a
            ``LatencyTable`` of the machine at hand.
    """

    max_params: int = 256_148
    max_with_buffers: int | None = None
    max_deployed: int | None = None
    max_macs: int | None = None
    macs_size: int = 640
    max_bytes: int | None = None
    max_latency_ratio: float | None = None

    def __post_init__(self) -> None:
        ratio = self.max_latency_ratio
        _require(
            ratio is None or 1 / LATENCY_UNIT <= ratio < math.inf,
            f"max_latency_ratio is a multiple of V1's latency, a number above 0, got {ratio}",
        )
        _require_bounded(self)
        _require(self.macs_size > 0, f"macs_size must be a positive number of pixels, got {self.macs_size:,}")
        for measure, limit in self.bounds:
            _require(limit > 0, f"budget must be a positive number of {measure}, got {limit:,}")

    @property
    def bounds(self) -> tuple[tuple[Measure, int], ...]:
        """Return (measure, limit) for every bound, parameters first."""
        limits = {
            PARAMS: self.max_params,
            Measure("with_buffers"): self.max_with_buffers,
            Measure("deployed"): self.max_deployed,
            Measure("macs", self.macs_size): self.max_macs,
            Measure("bytes"): self.max_bytes,
            LATENCY: None if self.max_latency_ratio is None else round(LATENCY_UNIT * self.max_latency_ratio),
        }
        return tuple((measure, limit) for measure, limit in limits.items() if limit is not None)

    def __str__(self) -> str:
        return " and ".join(measure.text(limit) for measure, limit in self.bounds)


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
        _require_bounded(self)
        _require(self.size >= 32 and self.size % 32 == 0, f"size must be a multiple of 32, got {self.size}")
        for name in ("train_images", "val_images", "eval_side", "landmark_images"):
            _require(getattr(self, name) >= 0, f"{name} must not be negative, got {getattr(self, name)}")
        _require(
            self.search_images > 0,
            f"search_images must be positive, because every choice reads the search split, got {self.search_images}",
        )
        if self.source == "synthetic":
            _require(
                self.train_images > 0 and self.val_images > 0,
                "synthetic data needs train_images and val_images above 0, "
                f"got {self.train_images} and {self.val_images}",
            )
            _require(
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
        _require_bounded(self)
        _require(self.epochs > 0, f"epochs must be positive, got {self.epochs}")
        _require(self.batch > 0, f"batch must be positive, got {self.batch}")
        _require(0 < self.lr < 1, f"lr must lie between 0 and 1, got {self.lr}")
        _require(0 < self.backbone_lr <= 1, f"backbone_lr is a factor in (0, 1], got {self.backbone_lr}")
        _require(
            0 <= self.frozen_stages <= len(STRIDES),
            f"frozen_stages lies in 0 … {len(STRIDES)}, got {self.frozen_stages}",
        )
        _require(self.weight_decay >= 0, f"weight_decay must not be negative, got {self.weight_decay}")
        _require(0 <= self.warmup < 1, f"warmup is a share of the steps in [0, 1), got {self.warmup}")
        _require(self.clip > 0, f"clip must be positive, got {self.clip}")
        weights = (self.box_weight, self.class_weight, self.landmark_weight)
        _require(min(weights) >= 0 and max(weights) > 0, f"loss weights are not negative and not all 0, got {weights}")
        _require(self.crops in CROPS, f"unknown crops '{self.crops}' (known: {', '.join(CROPS)})")
        _require(
            not self.large_crops or 0 < 4 * self.large_crops < self.batch,
            f"large_crops takes the place of 4 crops each and must leave some of {self.batch}, got {self.large_crops}",
        )
        _require(
            not self.large_crops or self.batch % 4 == 0,
            f"batch must be a multiple of 4 with large_crops, got {self.batch}",
        )
        _require(0 <= self.ema < 1, f"ema is a decay in [0, 1), got {self.ema}")
        _require(self.evaluate_every > 0, f"evaluate_every must be positive, got {self.evaluate_every}")
        _require(self.patience >= 0, f"patience must not be negative, got {self.patience}")
        _require(
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
        _require(self.temperature > 0, f"temperature must be positive, got {self.temperature}")
        _require(0 <= self.alpha <= 1, f"alpha must lie in [0, 1], got {self.alpha}")
        weights = (self.box_weight, self.class_weight, self.landmark_weight)
        _require(min(weights) >= 0, f"the imitation's weights must not be negative, got {weights}")
        _require(self.feature_weight >= 0, f"feature_weight must not be negative, got {self.feature_weight}")
        _require(0 <= self.score_threshold < 1, f"score_threshold lies in [0, 1), got {self.score_threshold}")

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
        finalists: number of candidates with the highest scores that are trained to the end, from their slices.
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
    finalists: int = 4
    unshared: int = 12

    def __post_init__(self) -> None:
        for name in ("candidates", "calibration", "finalists", "unshared"):
            _require(getattr(self, name) > 0, f"{name} must be positive, got {getattr(self, name)}")
        for name in ("tuning", "images", "side"):
            _require(getattr(self, name) >= 0, f"{name} must not be negative, got {getattr(self, name)}")
        _require(self.imitation >= 0, f"imitation must not be negative, got {self.imitation}")
        _require(0 < self.tuning_lr < 1, f"tuning_lr must lie between 0 and 1, got {self.tuning_lr}")
        for name in ("ema", "frozen_stages", "patience"):
            _require(not getattr(self.train, name), f"shared weights are trained without {name}: give 0")


@dataclass(frozen=True)
class EvalConfig:
    """Inference settings; part of every AP's protocol.

    Attributes:
        score_threshold: only detections with a higher score are kept.
        nms_iou: IoU above which the lower-scoring of two boxes is suppressed.
        max_candidates: number of highest-scoring boxes per image that enter NMS.
        max_detections: largest number of boxes kept per image.
        pad_multiple: the image is padded at the bottom and right to a multiple of this; 1 does not pad.
    """

    score_threshold: float = 0.02
    nms_iou: float = 0.4
    max_candidates: int = 5_000
    max_detections: int = 750
    pad_multiple: int = 1

    def __post_init__(self) -> None:
        _require(0 <= self.score_threshold < 1, f"score_threshold lies in [0, 1), got {self.score_threshold}")
        _require(0 < self.nms_iou <= 1, f"nms_iou lies in (0, 1], got {self.nms_iou}")
        _require(
            min(self.max_candidates, self.max_detections, self.pad_multiple) >= 1,
            "max_candidates, max_detections and pad_multiple must be at least 1",
        )


@dataclass(frozen=True)
class SpeedConfig:
    """FPS measurement: batch 1 at ``size`` × ``size`` pixels, with alternating runs of the candidate and V1."""

    size: int = 640
    runs: int = 20
    warmup: int = 3

    def __post_init__(self) -> None:
        _require_bounded(self)
        _require(self.size >= 32, f"speed size must be at least 32 pixels, got {self.size}")
        _require(self.runs >= 3 and self.warmup >= 0, "speed needs at least 3 runs and no negative warm-up")


ALONE = "-alone"
"""Suffix of a reference's arch name: train it without a teacher."""

INHERITED = "-shared"
"""Suffix of the label of a reference that is trained from its slices of the study's shared weights."""

SAMPLERS = {
    "tpe": "tree-structured Parzen estimator (Optuna's default)",
    "random": "uniform over everything that fits the budget",
    "nsga2": "genetic algorithm NSGA-II",
    "evolution": "regularised evolution: mutates the best of a few recent trials",
    "gp": "Gaussian process",
}
PRUNERS = {
    "median": "stops a trial below the median of earlier ones at its epoch",
    "halving": "keeps the better half at epochs 1, 2, 4, …",
    "dominated": "stops a trial that a no more costly one beats, whatever it may gain; for several objectives",
    "none": "trains every trial to its end",
}
COMPARE_AP = ("median", "halving")
"""Pruners that compare one objective, AP."""

OBJECTIVES = ("ap", "params", "latency")


@dataclass(frozen=True)
class StudyConfig:
    """One study: a space searched under a budget by one protocol.

    Attributes:
        name: the study's name, and that of its folder under ``runs/``.
        space: name of a module of ``search_spaces``.
        trials: number of candidates.
        enqueued: configurations of the first candidates; the sampler proposes the others.
        sampler, pruner: names from ``SAMPLERS`` and ``PRUNERS``; ``median`` and ``halving`` compare one objective,
            ``dominated`` several.
        objectives: ``("ap",)`` or several of ``OBJECTIVES``; ``ap`` comes first.
        window: trial n is proposed from the results of trials 0 … n - window. Therefore at most ``window`` trials train
            at once, and the proposals do not depend on the number of workers.
        seed: study seed; every trial's sampler and training seed derive from it.
        from_scratch: students start from random backbone weights, not from trained ones.
        references: names of archs that are trained outside the search by the students' protocol; with the suffix
            ``-alone``, without a teacher.
        seeds: number of trainings of each reference and, after the search, of the best student, each with a different
            seed.
        sharing: how candidates are scored by shared weights, so that only the best of them are trained to the end; None
            trains all of them.
        ablation: networks that are trained and graded like the references, and compared; None for a study without any.
    """

    name: str
    description: str
    space: str
    budget: Budget = field(default_factory=Budget)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    teacher: TrainConfig = field(default_factory=TrainConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)
    evaluation: EvalConfig = field(default_factory=EvalConfig)
    speed: SpeedConfig = field(default_factory=SpeedConfig)
    trials: int = 12
    enqueued: tuple[dict[str, Any], ...] = ()
    sampler: str = "tpe"
    pruner: str = "median"
    objectives: tuple[str, ...] = ("ap",)
    window: int = 4
    seed: int = 0
    from_scratch: bool = False
    references: tuple[str, ...] = ("v2",)
    seeds: int = 1
    sharing: SharingConfig | None = None
    ablation: Ablation | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "a study's name")
        _require(
            self.name.lower() not in RESERVED,
            f"a study cannot be called '{self.name}': that folder holds something else; choose another --name",
        )
        _require(self.description.isprintable(), f"a study's description is one line, got {self.description!r:.200}")
        _require_bounded(self)
        _require(
            self.sharing is None or self.pruner == "none",
            f"pruner '{self.pruner}' stops trainings, but candidates are scored: give --no-sharing, or --pruner none",
        )
        _require(
            self.trials > 0 or (self.trials == 0 and bool(self.references or self.ablation)),
            f"trials must be positive, or 0 to train the references only, got {self.trials}",
        )
        _require(self.seeds > 0, f"seeds must be positive, got {self.seeds}")
        _require(self.window > 0, f"window must be positive, got {self.window}")
        _require(self.sampler in SAMPLERS, f"unknown sampler '{self.sampler}' (known: {', '.join(SAMPLERS)})")
        _require(self.pruner in PRUNERS, f"unknown pruner '{self.pruner}' (known: {', '.join(PRUNERS)})")
        _require(
            bool(self.objectives)
            and self.objectives[0] == "ap"
            and set(self.objectives) <= set(OBJECTIVES)
            and len(set(self.objectives)) == len(self.objectives),
            f"objectives start with 'ap' and name each of {', '.join(OBJECTIVES)} at most once, "
            f"got '{','.join(self.objectives)}'",
        )
        _require(
            len(self.objectives) == 1 or self.pruner not in COMPARE_AP,
            f"objectives {','.join(self.objectives)} cannot prune by '{self.pruner}', which compares AP only: "
            "use --pruner dominated or none",
        )
        _require(
            len(self.objectives) > 1 or self.pruner != "dominated",
            "pruner 'dominated' compares several objectives: name them with --objectives, or use --pruner "
            f"{', '.join(COMPARE_AP)} or none",
        )

    @property
    def predicts_latency(self) -> bool:
        """Whether latency is an objective or bounded, so that it must be known before a training."""
        return "latency" in self.objectives or self.budget.max_latency_ratio is not None

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain data."""
        return asdict(self) | {"ablation": None if self.ablation is None else self.ablation.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "StudyConfig":
        """Rebuild from ``to_dict``'s form, also after a round trip through JSON.

        Raises:
            TypeError: a field is unknown, or has a value of another type.
            InputError: a value is not accepted.
        """
        parts: dict[str, Any] = {
            "budget": Budget,
            "data": DataConfig,
            "train": TrainConfig,
            "teacher": TrainConfig,
            "distill": DistillConfig,
            "evaluation": EvalConfig,
            "speed": SpeedConfig,
        }
        values: dict[str, Any] = {k: built(parts[k], value) if k in parts else value for k, value in data.items()}
        if values.get("sharing") is not None:
            train = built(TrainConfig, values["sharing"]["train"])
            values["sharing"] = built(SharingConfig, {**values["sharing"], "train": train})
        if values.get("ablation") is not None:
            values["ablation"] = Ablation.from_dict(values["ablation"])
        lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
        return built(cls, values | lists)


def digest(value: Any) -> str:
    """Return 12 hex digits that identify plain data (dicts, lists, numbers, strings).

    Raises:
        ValueError: a float is not finite.
    """
    for item in value.values() if isinstance(value, dict) else ():
        if isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"cannot digest {item!r}")
    return hashlib.sha256(json.dumps(value, sort_keys=True, allow_nan=False).encode()).hexdigest()[:12]
