"""The objectives other than AP in a replay: parameters are counted, latencies come from the table's measurements."""

from dataclasses import dataclass, replace

import numpy as np

from harness.core.space import Configuration, SearchSpace
from harness.core.table import Table
from harness.counting import SpaceCounts
from harness.errors import InputError
from harness.evaluation.objectives import limits
from harness.search.candidates import identity
from harness.search.encoding import Encoding
from harness.search.surrogate import Errors, Model, held_out


class Latencies:
    """Latencies of the configurations of a table's space that can be built, as multiples of V1's.

    A configuration of the table has the measured one. For all others a Gaussian process answers, fitted to these.

    Attributes:
        known: ``identity`` of a configuration of the table → its measured latency.
        errors: those of cross-validation, of latencies.

    Raises:
        InputError: a trained network of the table was not measured.
    """

    def __init__(self, table: Table, space: SearchSpace) -> None:
        trained = [network for network in table.networks if network.aps]
        measured = [network for network in trained if "ratio_to_v1" in network.speed]
        if len(measured) < len(trained):
            raise InputError(
                f"objective latency needs measured speeds, and the table has those of {len(measured)} of "
                f"{len(trained)} networks: add them with python -m benchmarks.tabular --measure, or leave latency out "
                "of --objectives"
            )
        self._encoding = Encoding(space, table.config.speed.size)
        rows = self._encoding.rows(network.configuration for network in trained)
        values = np.array([[1 / network.speed["ratio_to_v1"]] for network in trained])
        self.known = {
            identity(network.configuration): float(value)
            for network, value in zip(trained, values[:, 0], strict=True)
        }  # fmt: skip
        self._model = Model(rows, values)
        self.errors = Errors.of(values[:, 0], held_out(rows, values)[:, 0])

    def of(self, configuration: Configuration) -> float:
        """Return the measured or predicted latency of a configuration.

        Raises:
            InputError: it cannot be built.
        """
        name = identity(configuration)
        if name not in self.known:
            return float(self._model.predict(self._encoding.rows([configuration]))[0, 0])
        return self.known[name]


@dataclass(frozen=True, eq=False)
class Costs:
    """The objectives other than AP.

    Attributes:
        names: of ``OBJECTIVES``, without ``ap``.
        limits: their values at the reference point of the hypervolume, where AP is 0.
        latencies: of all configurations; None if latency is no objective.
    """

    names: tuple[str, ...] = ()
    limits: tuple[float, ...] = ()
    latencies: Latencies | None = None

    @classmethod
    def of_table(cls, table: Table, space: SearchSpace, objectives: tuple[str, ...]) -> "Costs":
        """Return the costs among the objectives of searches that are replayed on a table.

        Raises:
            InputError: latency is an objective, and a trained network of the table was not measured.
        """
        known = limits(replace(table.config, objectives=objectives, pruner="none"))
        return cls(objectives[1:], known, Latencies(table, space) if "latency" in objectives else None)

    def of(self, configuration: Configuration, counts: SpaceCounts) -> tuple[float, ...]:
        """Return the values of a configuration that can be built; ``counts`` are those of its space."""
        found = {"params": float(counts.total(configuration) or 0)}
        if self.latencies is not None:
            found["latency"] = self.latencies.of(configuration)
        return tuple(found[name] for name in self.names)
