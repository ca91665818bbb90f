"""Counts, multiply-adds and the budget's refusal."""

import pytest

from harness.arch import ARCHS
from harness.counting import check_budget, count, count_parts, macs
from harness.counting.closed_form import savings, shares
from harness.errors import BudgetError
from harness.protocol import Budget


def test_counts_of_the_documented_architectures() -> None:
    assert {name: count(arch) for name, arch in ARCHS.items()} == {
        "v1": 487_103,
        "v2": 256_156,
        "v2_as_written": 268_060,
    }
    assert count_parts(ARCHS["v2"])["neck"] == 26_068


def test_multiply_adds_at_640() -> None:
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
