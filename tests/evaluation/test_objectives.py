import numpy as np
import pytest

from harness.core.budget import Budget
from harness.core.protocol import StudyConfig
from harness.core.record import TrialRecord
from harness.errors import DataError
from harness.evaluation.objectives import costs, limits, normalised

RECORD = TrialRecord("0000", "candidate", params=100_000, latency=0.6, search_ap={"mean": 0.7})


def config(*objectives: str, **budget: float) -> StudyConfig:
    bounds = Budget(200_000, max_latency_ratio=budget.get("ratio"))
    return StudyConfig("a", "b", "v2_light", budget=bounds, objectives=("ap", *objectives), pruner="none")


def test_costs_are_in_the_order_of_the_objectives() -> None:
    assert costs(RECORD, ("ap",)) == ()
    assert costs(RECORD, ("ap", "params", "latency")) == (100_000.0, 0.6)
    assert costs(RECORD, ("ap", "latency", "params")) == (0.6, 100_000.0)
    with pytest.raises(DataError, match="the record of 0001 has no predicted latency"):
        costs(TrialRecord("0001", "candidate"), ("ap", "latency"))


def test_the_reference_is_no_ap_at_the_budget_and_v1_s_latency_or_its_bound() -> None:
    assert limits(config("params", "latency")) == (200_000.0, 1.0)
    assert limits(config("latency", ratio=0.8)) == (0.8,)
    found = normalised([RECORD, RECORD], config("params", "latency", ratio=0.8))
    np.testing.assert_allclose(found, [[0.3, 0.5, 0.75]] * 2)
    assert normalised([], config("params")).shape == (0, 2)
