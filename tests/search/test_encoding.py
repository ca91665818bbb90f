"""Configurations as numbers."""

from harness.core.names import load_space
from harness.core.space import Choice, IntRange
from harness.counting import SpaceCounts
from harness.search.encoding import Encoding

SPACE = load_space("architectures")
COUNTS = SpaceCounts(SPACE)


def test_every_axis_has_its_numbers_followed_by_parameters_and_macs() -> None:
    configurations = [c for c, _ in zip(SPACE.enumerate(), range(400), strict=False) if COUNTS.total(c) is not None]
    rows = Encoding(SPACE, 96).rows(configurations)
    assert len(rows) == len(configurations) > 0
    for row, configuration in zip(rows.tolist(), configurations, strict=True):
        numbers = iter(row)
        for axis in SPACE.axes:
            value = configuration.get(axis.name)
            if isinstance(axis, IntRange):
                assert next(numbers) == value
            else:
                assert [next(numbers) for _ in axis.values] == [float(value == one) for one in axis.values]
        cost = COUNTS.cost(configuration, 96)
        assert cost is not None
        assert list(numbers) == [cost.params, cost.macs]


def test_a_number_and_a_truth_value_are_different_values() -> None:
    space = type(SPACE)(
        "numbers", "", SPACE.base, (Choice("head.per_level", (False, True)), Choice("neck.repeats", (1, 2)))
    )
    rows = Encoding(space, 96).rows([{"head.per_level": True, "neck.repeats": 1}])
    assert rows[0, :4].tolist() == [0, 1, 1, 0]
