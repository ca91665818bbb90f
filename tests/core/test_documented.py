import re

import pytest

from harness.core import documented
from harness.core.documented import CLAIMS, PART_KEYS, claim, claims


def _numbers(text: str) -> set[float]:
    return {float(found.replace(",", "")) for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text)}


def test_a_quantity_stands_once_for_each_place() -> None:
    places = [(one.key, one.where) for one in CLAIMS]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("one", CLAIMS, ids=lambda one: f"{one.key}@{one.where}")
def test_the_value_is_the_one_that_is_written(one: documented.Claim) -> None:
    if one.written.startswith("Zero"):
        assert one.value == 0
    else:
        thousand = 1_000 if one.key.endswith("total_rounded") else 1
        assert one.value in {thousand * number for number in _numbers(one.written)}


def test_the_documented_table() -> None:
    assert claim("v1.total").value == 487_103
    assert claim("v2.total").value == 256_148
    assert claim("reduction.total").value == 47.2
    sums = {arch: sum(int(claim(key).value) for key in keys.values()) for arch, keys in PART_KEYS.items()}
    assert sums == {"v1": 504_362, "v2": 256_560}
    shares = [claim(f"v2.share.{part}").value for part in ("backbone", "cbam", "bifpn", "context", "shuffle", "heads")]
    assert sum(shares) == pytest.approx(100.2)


@pytest.mark.parametrize("key", ["reduction.cbam", "reduction.bifpn", "reduction.context"])
def test_where_the_documents_disagree_no_single_claim_is_given(key: str) -> None:
    assert len({one.value for one in claims(key)}) == 2
    with pytest.raises(ValueError, match="contradict themselves"):
        claim(key)


def test_what_nobody_documented_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        claim("v2.latency")
