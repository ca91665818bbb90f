"""``Table``: a tabular benchmark: networks of one space, each trained with several seeds, in one JSON file.

A search is replayed on it without training. Equal content gives equal bytes: keys are sorted, and every network is one
line, so that a longer table differs from a shorter one in whole lines.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.core.budget import Budget
from harness.core.files import write_atomically
from harness.core.protocol import StudyConfig
from harness.core.space import Configuration
from harness.core.typed import built
from harness.errors import DataError, InputError, first_line

VERSION = 1
"""Version of the file's form."""

TABLE = Path("benchmarks") / "tabular" / "architectures.json"
"""The table of the repository, made by ``python -m benchmarks.tabular``."""

Curves = dict[str, list[float | None]]
"""Name → one value per epoch."""


@dataclass(frozen=True)
class Trained:
    """One training that has ended.

    Attributes:
        seed: its seed.
        state: ``complete``, or ``failed`` with a ``reason``; a failed training has the epochs before it failed.
        search, val: easy, medium, hard and mean → AP after each epoch, in [0, 1], on the search split and on the
            validation images; None where a list holds no face, and after an epoch without an evaluation.
        losses: loss term → mean over each epoch.
        seconds: training time of each epoch.
    """

    seed: int
    state: str
    reason: str = ""
    search: Curves = field(default_factory=dict)
    val: Curves = field(default_factory=dict)
    losses: Curves = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)

    @property
    def aps(self) -> list[float] | None:
        """The mean AP on the search split after each epoch with an evaluation; None if the training failed."""
        found = [value for value in self.search.get("mean", []) if value is not None]
        return found if self.state == "complete" else None


@dataclass(frozen=True)
class Network:
    """One configuration and its trainings.

    Attributes:
        label: number of its draw in four digits, or the name of a reference.
        configuration: axis → value.
        arch: ``ArchConfig.to_dict()``.
        params, parts, macs: parameters in total and by slot, and MACs at the speed size.
        feasible: whether it fits the budget; a reference may not.
        speed: ``latency_ms``, ``latency_iqr_ms`` and ``ratio_to_v1``, as ``evaluation.speed`` measures them; empty
            until they are measured.
        trainings: those that have ended, by seed in the order of training.
    """

    label: str
    configuration: Configuration
    arch: dict[str, Any]
    params: int
    parts: dict[str, int]
    macs: int
    feasible: bool
    speed: dict[str, Any] = field(default_factory=dict)
    trainings: tuple[Trained, ...] = ()

    @property
    def aps(self) -> dict[int, list[float]]:
        """Seed → mean AP on the search split after each epoch with an evaluation, of the complete trainings."""
        return {one.seed: found for one in self.trainings if (found := one.aps)}


@dataclass(frozen=True)
class Table:
    """A tabular benchmark.

    Attributes:
        space, space_digest: name and digest of the space.
        config: the protocol: data, schedules, distillation, evaluation, speed and budget.
        drawn: number of ``configurations``, ``seed`` of the draws, and ``feasible``: how many they were drawn from.
        wanted: number of trainings of the complete table.
        images: split → digest of its images.
        search_protocol, protocol: protocols of the APs on the search split and on the validation images.
        teacher: ``label``, ``digest`` of the weights, ``params``, ``search_ap`` and ``ap``.
        training: version of the training code; ``threads``: threads per training, on which rounding depends.
        provenance: everything that trained a part of it.
        command: the command that makes it.
        complete: whether every network has all its trainings.
        networks: the drawn configurations and then the references.
    """

    space: str
    space_digest: str
    config: StudyConfig
    drawn: dict[str, int]
    wanted: int
    images: dict[str, str]
    search_protocol: dict[str, Any]
    protocol: dict[str, Any]
    teacher: dict[str, Any]
    training: int
    threads: int
    provenance: list[dict[str, Any]]
    command: str
    complete: bool
    networks: tuple[Network, ...]

    @property
    def budget(self) -> Budget:
        """The budget that the configurations were drawn from."""
        return self.config.budget

    @property
    def epochs(self) -> int:
        """Epochs of a complete training."""
        return self.config.train.epochs

    def save(self, path: Path) -> None:
        """Write the table atomically.

        Raises:
            OSError: the disk is full or not writable; an earlier table is unchanged.
        """
        head = asdict(self) | {"version": VERSION, "config": self.config.to_dict()}
        rows = [_compact(network) for network in head.pop("networks")]
        text = _compact(head)[:-1] + ',"networks":[\n' + ",\n".join(rows) + "\n]}\n"
        write_atomically(path, text.encode())

    @classmethod
    def load(cls, path: Path) -> "Table":
        """Read a table.

        Raises:
            InputError: there is no such file.
            DataError: it is not a table, or one of another version.
        """
        if not path.is_file():
            raise InputError(f"there is no table {path}: make it with python -m benchmarks.tabular, or give --table")
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version = content.pop("version")
            if version != VERSION:
                raise DataError(f"{path} is a table of version {version}, not {VERSION}: make it again")
            networks = tuple(_network(network) for network in content.pop("networks"))
            return built(cls, content | {"config": StudyConfig.from_dict(content["config"]), "networks": networks})
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(f"{path} is not a readable table: {type(error).__name__}: {first_line(error)}") from error


def _compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def _network(content: Mapping[str, Any]) -> Network:
    return built(Network, {**content, "trainings": tuple(built(Trained, one) for one in content["trainings"])})
