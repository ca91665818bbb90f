"""``Manifest``: what ``study.json`` holds: what a study is, what decides its results, and where it stands."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.core.protocol import StudyConfig
from harness.core.provenance import Provenance
from harness.core.record import write_json
from harness.errors import DataError, InputError

FILE = "study.json"


@dataclass(frozen=True)
class Images:
    """One split: the digest of its images and faces, and how many there are."""

    digest: str
    images: int
    faces: int


@dataclass(frozen=True)
class Start:
    """What every student's backbone starts from.

    Attributes:
        kind: ``random`` numbers, the ``teacher``'s backbone, or a ``file``.
        digest: of the weights file; None for random numbers.
    """

    kind: str
    digest: str | None = None


@dataclass(frozen=True)
class UsedTeacher:
    """The network that students imitate: its label, architecture, parameters and the digest of its weights file."""

    label: str
    digest: str
    params: int
    arch: dict[str, Any]


@dataclass(frozen=True)
class Space:
    """The searched space.

    Attributes:
        definition: ``SearchSpace.to_dict()``.
        digest: of its axes and base architecture.
        size, buildable, feasible: configurations in all, those that can be built, those within the budget.
    """

    definition: dict[str, Any]
    digest: str
    size: int
    buildable: int
    feasible: int


@dataclass
class Standing:
    """Where a study stands.

    Attributes:
        trials: ``complete``, ``pruned``, ``failed``, ``running`` and ``wanted`` → candidates.
        proposals: source of a proposal, or ``rejected_REASON`` → how many.
        wasted: trained candidates that break the budget; ``repeated``: those trained twice. Both are 0 by design.
        best: label of the best candidate, None before there is one.
        timing: seconds by purpose and shares, as ``harness.search.timing`` defines them.
    """

    trials: dict[str, int] = field(default_factory=dict)
    proposals: dict[str, int] = field(default_factory=dict)
    wasted: int = 0
    repeated: int = 0
    best: str | None = None
    timing: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """A study. Everything but ``config``, ``command`` and ``standing`` is written by the first run and never changed.

    Attributes:
        config: as it was last asked for.
        data: ``train``, ``search`` and ``val`` → their images.
        search_protocol, protocol: what APs on the search split and on the validation images are measured by.
        identity: all that the trials depend on, flat, so that a difference can be named.
        workers, threads: how many trainings ran side by side, and PyTorch's threads of each.
        command: how the study is run again, without secrets.
        provenance: of the first run; every record has its own.
        started: when, in UTC.
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
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Manifest":
        """Rebuild from ``to_dict``'s form.

        Raises:
            TypeError, KeyError: it is not a manifest of this version.
            InputError: its configuration is not valid.
        """
        return cls(
            **data
            | {
                "config": StudyConfig.from_dict(data["config"]),
                "space": Space(**data["space"]),
                "data": {split: Images(**images) for split, images in data["data"].items()},
                "start": Start(**data["start"]),
                "teacher": UsedTeacher(**data["teacher"]),
                "provenance": Provenance(**data["provenance"]),
                "standing": Standing(**data["standing"]),
            }
        )

    def save(self, folder: Path) -> None:
        """Write ``folder/study.json`` atomically."""
        write_json(folder / FILE, self.to_dict())

    @classmethod
    def load(cls, folder: Path) -> "Manifest":
        """Read ``folder/study.json``.

        Raises:
            DataError: the file is missing, broken, or of another version of the harness.
        """
        path = folder / FILE
        if not path.exists():
            raise DataError(f"{folder} holds no study: there is no {FILE} in it")
        try:
            return cls.from_dict(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            raise DataError(f"{path} is not readable: {error}; choose another --name, or remove {folder}") from error
        except (TypeError, KeyError, InputError, AttributeError) as error:
            raise DataError(
                f"{path} was written by another version of the harness: run the study again under another --name, or "
                f"remove {folder}"
            ) from error
