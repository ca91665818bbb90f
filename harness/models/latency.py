"""``LatencyTable``: measured latencies of parts, which add up to the predicted latency of any network made of them.

Latencies are integers, in millionths of V1's predicted latency. So they add up exactly, and count like parameters.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from harness.core.arch import ARCHS, ArchConfig, Part
from harness.core.budget import LATENCY_UNIT
from harness.core.digest import digest
from harness.core.record import write_json
from harness.core.space import SearchSpace
from harness.errors import DataError
from harness.models.modules.part import Levels
from harness.models.wiring import backbone_widths, inputs_of, misfit, neck_widths

FILE = "latency.json"
"""Name of the table in a study's folder."""

REFERENCE = ARCHS["v1"]
"""The network whose latency is the unit."""


class Placed(NamedTuple):
    """A part in its slot, on maps with these channels (None for a backbone, which takes the image)."""

    slot: str
    part: Part
    inputs: Levels | None

    def __str__(self) -> str:
        return f"{self.slot}={self.part}" + ("" if self.inputs is None else f" on {','.join(map(str, self.inputs))}")


def parts_of(arch: ArchConfig) -> list[Placed]:
    """Return the parts of a network in the order of the forward pass."""
    return [
        Placed(slot, part, None if slot == "backbone" else inputs_of(slot, arch.backbone, arch.neck))
        for slot, part in arch.parts().items()
    ]


def parts_in(space: SearchSpace) -> Iterator[Placed]:
    """Yield every part of a space, on every number of channels that it may meet and can be built on."""
    chosen = {
        slot: list(dict.fromkeys(space.arch(c).parts()[slot] for c in space.group_configurations(slot)))
        for slot in space.base.parts()
    }
    met: set[Placed] = set()
    for backbone in {backbone_widths(part): part for part in chosen["backbone"]}.values():
        for neck in {neck_widths(part): part for part in chosen["neck"]}.values():
            for slot, parts in chosen.items():
                for part in parts:
                    inputs = None if slot == "backbone" else inputs_of(slot, backbone, neck)
                    placed = Placed(slot, part, inputs)
                    if placed not in met and (inputs is None or misfit(slot, part, inputs) is None):
                        met.add(placed)
                        yield placed


@dataclass(frozen=True)
class LatencyTable:
    """Latencies of parts, measured on one machine.

    Attributes:
        conditions: what they were measured on and how: plain values.
        times: text of a placed part → its time as a multiple of V1's, measured in alternation with V1.
    """

    conditions: Mapping[str, str | int]
    times: Mapping[str, float]

    @cached_property
    def _whole(self) -> float:
        """The sum over V1's parts: what is predicted for V1 is 1 by definition."""
        return sum(self.times[str(placed)] for placed in parts_of(REFERENCE))

    def part(self, slot: str, part: Part, inputs: Levels | None) -> int:
        """Return a part's latency in millionths of V1's.

        Raises:
            KeyError: the part was not measured.
        """
        return round(LATENCY_UNIT * self.times[str(Placed(slot, part, inputs))] / self._whole)

    def ratio(self, arch: ArchConfig) -> float | None:
        """Return a network's predicted latency as a multiple of V1's: the sum over its parts.

        None if a part was not measured, as in a network of another space.
        """
        parts = parts_of(arch)
        known = all(str(placed) in self.times for placed in parts)
        return sum(self.part(*placed) for placed in parts) / LATENCY_UNIT if known else None

    def only(self, wanted: Iterable[Placed]) -> "LatencyTable":
        """Return the table of some of its parts.

        Raises:
            KeyError: one of them was not measured.
        """
        return LatencyTable(self.conditions, {str(placed): self.times[str(placed)] for placed in wanted})

    def digest(self) -> str:
        """Return 12 hex digits that identify conditions and times."""
        return digest(asdict(self))

    def save(self, path: Path) -> None:
        """Write the table atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(self))

    @classmethod
    def load(cls, path: Path) -> "LatencyTable":
        """Read a table.

        Raises:
            DataError: the file is missing or is not a table.
        """
        try:
            data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return cls(dict(data["conditions"]), {str(key): float(time) for key, time in data["times"].items()})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path} is no readable table of latencies: {error}") from error
