"""Counts, MACs and the budget's refusal."""

import pytest

from harness.core.arch import ARCHS
from harness.core.budget import Budget
from harness.errors import BudgetError, InputError
from harness.models.costs import broken, check_budget, count, count_parts, macs, savings, shares


def test_counts_of_the_named_architectures() -> None:
    assert {name: count(arch) for name, arch in ARCHS.items()} == {
        "v1": 487_103,
        "v2": 256_156,
        "v2_as_written": 268_060,
        "featherface": 592_371,
    }
    assert count_parts(ARCHS["v2"])["neck"] == 26_068


def test_macs_at_640() -> None:
    assert sum(macs(ARCHS["v1"], 640, 640).values()) == 966_997_688
    assert sum(macs(ARCHS["v2"], 640, 640).values()) == 410_568_000


def test_refusal_reads_as_a_sentence_to_act_on() -> None:
    with pytest.raises(BudgetError) as refused:
        check_budget(ARCHS["v2_as_written"], Budget(), "v2_as_written")
    message = str(refused.value)
    assert message.startswith(
        "v2_as_written has 268,060 parameters, 11,912 over the budget of 256,148 "
        "(backbone 79 %, neck 10 %, head 6 %, context 3 %, attention 2 %); head.trunk=none saves 12,384"
    )
    assert "\n" not in message


def test_refusal_when_no_single_change_is_enough() -> None:
    with pytest.raises(BudgetError, match=r"no single change is enough \(.*backbone.width=0.125 saves"):
        check_budget(ARCHS["v1"], Budget(100_000))


def test_every_saving_is_true() -> None:
    whole = count(ARCHS["v2"])
    changes = savings(ARCHS["v2"])
    assert changes == sorted(changes)
    assert {change.text for change in changes} >= {"context=none", "shuffle=none", "neck.channels=16", "neck.repeats=1"}
    for change in changes:
        assert 0 < change.saving < whole


def test_an_exact_fit_passes() -> None:
    check_budget(ARCHS["v2"], Budget(256_156))
    with pytest.raises(BudgetError, match="1 over the budget"):
        check_budget(ARCHS["v2"], Budget(256_155))


def test_shares_leave_out_what_rounds_to_nothing() -> None:
    assert shares({"a": 800, "b": 199, "c": 1}) == "a 80 %, b 20 %"


def test_every_bound_is_checked_and_named() -> None:
    v2 = ARCHS["v2"]
    check_budget(v2, Budget(256_156, 263_643, 252_450, 410_568_000, 640, 1_054_872))
    with pytest.raises(BudgetError) as refused:
        check_budget(v2, Budget(256_156, 263_642, 252_449, 400_000_000, 640, 1_054_871), "v2")
    message = str(refused.value)
    for part in (
        "v2 has 263,643 parameters and buffers, 1 over the budget of 263,642 (backbone",
        "and 252,450 parameters once deployed, 1 over the budget of 252,449",
        "and 410,568,000 MACs at 640×640, 10,568,000 over the budget of 400,000,000",
        "and 1,054,872 bytes of weights, 1 over the budget of 1,054,871",
    ):
        assert part in message
    assert "has 256,156 parameters," not in message
    assert "\n" not in message
    (only,) = broken(v2, Budget(300_000, max_macs=400_000_000))
    assert (only.total, only.excess, only.measure.size) == (410_568_000, 10_568_000, 640)
    assert only.hints.startswith("neck.repeats=1 saves 13,120,000, context=none saves")


def test_a_budget_says_every_bound() -> None:
    assert str(Budget()) == "256,148 parameters"
    whole = Budget(300_000, max_deployed=250_000, max_macs=4_000_000, macs_size=128, max_bytes=10**6)
    assert str(whole) == (
        "300,000 parameters and 250,000 parameters once deployed and 4,000,000 MACs at 128×128 "
        "and 1,000,000 bytes of weights"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_macs": 0}, "a positive number of MACs at 640×640, got 0"),
        ({"max_bytes": -1}, "a positive number of bytes of weights, got -1"),
        ({"max_macs": 1, "macs_size": 0}, "macs_size must be a positive number of pixels, got 0"),
    ],
)
def test_a_bound_that_nothing_can_meet_is_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Budget(**changes)
