"""``prepare``: the images and the teacher of a protocol, ready for trainings."""

from dataclasses import dataclass, replace

from benchmarks.tabular.protocol import portable
from harness.core.digest import digest
from harness.core.names import load_space
from harness.core.protocol import StudyConfig
from harness.core.provenance import provenance
from harness.data import SPLITS, load_split
from harness.evaluation.protocol import ap_protocol
from harness.models.device import device_name, precision
from harness.models.weights import file_digest
from harness.search.plan import Plan
from harness.search.progress import Progress
from harness.search.resources import Resources, check_resources
from harness.training.job import TRAINING_VERSION
from harness.training.teacher import ensure_teacher


@dataclass(frozen=True)
class Prepared:
    """A protocol that is ready to train.

    Attributes:
        plan: its settings; students start from the teacher's backbone.
        workers: number of trainings at once.
        images: split → digest of its images.
    """

    plan: Plan
    workers: int
    images: dict[str, str]


def prepare(study: StudyConfig, resources: Resources, kind: str, progress: Progress) -> Prepared:
    """Return what trainings need. A teacher is trained unless an earlier run has trained it.

    Args:
        study: the protocol.
        resources: ``runs`` is the folder of teachers and decoded images; trainings are kept there in ``KIND-DIGEST``,
            where the digest is that of all that decides their results.
        kind: what is made of the trainings.
        progress: shows what is done.

    Raises:
        InputError: workers and threads need more cores than there are, or a file is missing.
    """
    # No training is proposed from another's result, so that any number may run at once.
    checked = check_resources(replace(study, window=study.trials), resources)
    cache, space = resources.runs / "cache", load_space(study.space)
    splits = {split: load_split(study.data, split, cache, progress.stage) for split in SPLITS}
    teacher = ensure_teacher(
        study,
        resources.runs,
        init_backbone=resources.init_backbone,
        threads=checked.threads,
        progress=progress.stage,
    )
    images = {split: faces.digest for split, faces in splits.items()}
    search_protocol, protocol = (
        ap_protocol(splits[split], study.evaluation, study.data.eval_side) for split in ("search", "val")
    )
    computes = precision(checked.device, study.train.side(study.data.size))
    said = portable(study).to_dict()
    decides = {
        "space": space.digest(),
        "training": TRAINING_VERSION,
        "images": images,
        "protocols": [search_protocol["digest"], protocol["digest"]],
        "teacher": file_digest(teacher.path),
        "threads": checked.threads,
        "precision": computes,
        **{name: said[name] for name in ("budget", "data", "train", "distill", "evaluation", "seed")},
    }
    plan = Plan(
        config=study,
        space=space,
        folder=resources.runs / f"{kind}-{digest(decides)}",
        cache=cache,
        images=(images["train"], images["search"]),
        teacher=teacher,
        search_protocol=search_protocol,
        protocol=protocol,
        start=teacher.path,
        device="cpu",
        threads=checked.threads,
        provenance=provenance(device_name(checked.device), computes),
    )
    return Prepared(plan, checked.workers, images)
