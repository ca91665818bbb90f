"""``Manifest``: the content of ``study.json``: a study's configuration, all that decides its results, its progress."""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.core.protocol import StudyConfig
from harness.core.provenance import Provenance
from harness.core.sealed import read_sealed, write_sealed
from harness.core.typed import built
from harness.errors import DataError, InputError

FILE = "study.json"


@dataclass(frozen=True)
class Images:
    """One split: the digest of its images and faces, and the number of each."""

    digest: str
    images: int
    faces: int


@dataclass(frozen=True)
class Start:
    """The initial backbone weights of every student.

    Attributes:
        kind: ``random``, ``teacher`` (the teacher's backbone) or ``file`` (a weights file).
        digest: digest of the weights file; None for random weights.
    """

    kind: str
    digest: str | None = None


@dataclass(frozen=True)
class UsedTeacher:
    """The students' teacher: its label, digest of its weights file, number of parameters and architecture."""

    label: str
    digest: str
    params: int
    arch: dict[str, Any]


@dataclass(frozen=True)
class Space:
    """The searched space.

    Attributes:
        definition: ``SearchSpace.to_dict()``.
        digest: digest of its axes and base architecture.
        size, buildable, feasible: number of all configurations, of those that can be built, and of those within the
            budget.
    """

    definition: dict[str, Any]
    digest: str
    size: int
    buildable: int
    feasible: int


@dataclass
class Standing:
    """The progress of a study.

    Attributes:
        trials: ``complete``, ``pruned``, ``failed``, ``running`` and ``wanted`` → number of candidates.
        trainings: number of trainings that the study runs in all.
        scored: number of candidates scored by shared weights; 0 in a study without them.
        proposals: source of a proposal, or ``rejected_REASON`` → number of proposals.
        wasted: number of candidates, trained or scored, that exceed the budget; 0 by design.
        repeated: number of candidates that were proposed twice; 0 by design.
        best: label of the best candidate; None before one is complete.
        timing: seconds by purpose and shares, as ``harness.search.timing`` defines them.
    """

    trials: dict[str, int] = field(default_factory=dict)
    trainings: int = 0
    scored: int = 0
    proposals: dict[str, int] = field(default_factory=dict)
    wasted: int = 0
    repeated: int = 0
    best: str | None = None
    timing: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """A study. The first run writes everything; later runs change only ``config``, ``command`` and ``standing``.

    Attributes:
        config: the configuration of the latest run.
        data: ``train``, ``search`` and ``val`` → their images.
        search_protocol, protocol: evaluation protocols of the APs on the search split and on the validation images.
        identity: everything that the trials depend on, as a flat dict, so that an error can name what differs.
        workers, threads: number of parallel trainings, and of PyTorch threads per training.
        command: the command that runs the study again, with secrets masked.
        provenance: provenance of the first run; every record has its own.
        started: start time of the first run, UTC.
    """

    config: StudyConfig
    space: Space
    data: dict[str, Images]
    search_protocol: dict[str, Any]
    protocol: dict[str, Any]
    start: Start
    teacher: UsedTeacher
    identity: dict[str, Any]
    workers: int
    threads: int
    command: str
    provenance: Provenance
    started: str
    standing: Standing = field(default_factory=Standing)

    @property
    def name(self) -> str:
        """The study's name."""
        return self.config.name

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain data."""
        return asdict(self) | {"config": self.config.to_dict()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Manifest":
        """Rebuild from ``to_dict``'s form.

        Raises:
            TypeError, KeyError: it is not a manifest of this version.
            InputError: its configuration is not valid.
        """
        return built(
            cls,
            data
            | {
                "config": StudyConfig.from_dict(data["config"]),
                "space": built(Space, data["space"]),
                "data": {split: built(Images, images) for split, images in data["data"].items()},
                "start": built(Start, data["start"]),
                "teacher": built(UsedTeacher, data["teacher"]),
                "provenance": built(Provenance, data["provenance"]),
                "standing": built(Standing, data["standing"]),
            },
        )

    def save(self, folder: Path) -> None:
        """Write ``folder/study.json`` atomically, for this user only: it holds the command."""
        write_sealed(folder / FILE, self.to_dict(), private=True)

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read ``folder/study.json``.

        Raises:
            DataError: the file is missing, damaged, changed, or of another version of the harness.
        """
        path = folder / FILE
        if not path.exists():
            raise DataError(f"{folder} holds no study: there is no {FILE} in it")
        try:
            return cls.from_dict(read_sealed(path))
        except DataError as error:
            raise DataError(f"{error}; put the original back, choose another --name, or remove {folder}") from error
        except (TypeError, KeyError, InputError, AttributeError, ValueError) as error:
            raise DataError(
                f"{path} was written by another version of the harness: run the study again under another --name, or "
                f"remove {folder}"
            ) from error
