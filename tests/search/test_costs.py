"""Objectives other than AP: counted, measured, or predicted from what was measured."""

from dataclasses import replace

import numpy as np
import pytest

from harness.core.space import Configuration
from harness.core.table import Table
from harness.counting import SpaceCounts
from harness.errors import InputError
from harness.search.candidates import identity
from harness.search.costs import Costs, Latencies
from tests import fake_table
from tests.fake_table import SMALL


def slow(configuration: Configuration) -> float:
    """A latency that two axes decide."""
    return 0.4 + 0.1 * float(configuration["neck.repeats"]) + 0.05 * bool(configuration["head.per_level"])


def measured(table: Table, networks: int) -> Table:
    """Return the table with measured speeds of its first networks."""
    found = [
        replace(network, speed={"ratio_to_v1": 1 / slow(network.configuration)} if place < networks else {})
        for place, network in enumerate(table.networks)
    ]
    return replace(table, networks=tuple(found))


TABLE = measured(fake_table.table(SMALL, networks=60), 60)
COUNTS = SpaceCounts(SMALL)


def test_latencies_of_the_table_are_the_measured_ones_and_others_are_predicted_from_them() -> None:
    latencies = Latencies(TABLE, SMALL)
    known = {identity(network.configuration): network.configuration for network in TABLE.networks}
    assert {identity(c) for c in known.values()} == set(latencies.known)
    assert all(latencies.of(c) == pytest.approx(slow(c)) for c in known.values())
    others = [c for c in SMALL.enumerate() if identity(c) not in known][::50]
    errors = [abs(latencies.of(c) - slow(c)) for c in others]
    assert np.mean(errors) < 0.02
    assert latencies.errors.networks == 60
    assert latencies.errors.r2 > 0.9


def test_costs_are_in_the_order_of_the_objectives() -> None:
    configuration = TABLE.networks[0].configuration
    total = COUNTS.total(configuration)
    assert Costs().of(configuration, COUNTS) == ()
    assert Costs.of_table(TABLE, SMALL, ("ap", "params")).of(configuration, COUNTS) == (total,)
    both = Costs.of_table(TABLE, SMALL, ("ap", "latency", "params"))
    assert both.of(configuration, COUNTS) == pytest.approx((slow(configuration), total))
    assert both.limits == (1.0, TABLE.budget.max_params)


def test_a_table_with_an_unmeasured_network_has_no_latencies() -> None:
    with pytest.raises(
        InputError, match=r"of 59 of 60 networks: add them with python -m benchmarks\.tabular --measure"
    ):
        Costs.of_table(measured(TABLE, 59), SMALL, ("ap", "latency"))
    assert Costs.of_table(measured(TABLE, 0), SMALL, ("ap", "params")).latencies is None
