import pytest
import torch

from harness.core.protocol import SpeedConfig
from harness.evaluation.speed import measure
from harness.models.builder import build, resolve_arch


def test_measures_both_and_leaves_them_alone() -> None:
    torch.manual_seed(0)
    v1, v2 = build(resolve_arch("v1")), build(resolve_arch("v2")).train()
    before = {name: value.clone() for name, value in v2.state_dict().items()}
    threads = torch.get_num_threads()
    found = measure(v2, v1, SpeedConfig(size=64, runs=5, warmup=1), "cpu", 1)
    assert set(found) >= {"fps", "latency_ms", "latency_iqr_ms", "ratio_to_v1", "reference_fps"}
    assert (found["device"], found["threads"], found["size"]) == ("cpu", 1, 64)
    assert found["fps"] * found["latency_ms"] == pytest.approx(1_000)
    assert 0 < found["ratio_to_v1"] < 100
    assert found["latency_iqr_ms"] >= 0
    assert torch.get_num_threads() == threads
    assert v2.training
    assert all(torch.equal(value, before[name]) for name, value in v2.state_dict().items())


def test_a_larger_input_takes_longer() -> None:
    torch.manual_seed(0)
    v2 = build(resolve_arch("v2"))
    small, large = (measure(v2, v2, SpeedConfig(size=side, runs=3, warmup=1), "cpu", 1) for side in (64, 384))
    assert large["latency_ms"] > small["latency_ms"]
