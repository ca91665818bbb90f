"""What is measured once is kept; the clock advances only when a part runs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from harness.core.arch import ARCHS
from harness.core.evaluation import SpeedConfig
from harness.core.names import load_space
from harness.evaluation import latency
from harness.evaluation.latency import AT_ONCE, conditions, ensure_latencies
from harness.evaluation.speed import Pass, ready
from harness.models.latency import Placed, parts_in, parts_of

CONFIG = SpeedConfig(size=64, runs=3, warmup=0)
V1, V2 = parts_of(ARCHS["v1"]), parts_of(ARCHS["v2"])


class Bench:
    """Times that are planted: V1 takes 4, 8 and 4 ms, the n-th part that is ever measured n times as much."""

    def __init__(self) -> None:
        self.measured = 0
        self.calls: list[int] = []
        self.stages: list[tuple[int, int]] = []

    def alternate(self, passes: Sequence[Pass], config: SpeedConfig, device: str, threads: int) -> Any:
        assert (config, device, threads) == (CONFIG, "cpu", 1)
        parts = len(passes) - 1
        self.calls.append(parts)
        ratios = 1 + np.arange(self.measured, self.measured + parts)
        self.measured += parts
        return np.array([4.0, 8.0, 4.0])[:, None] * np.append(ratios, 1)

    def ask(self, wanted: Sequence[Placed], cache: Path, config: SpeedConfig = CONFIG) -> Any:
        return ensure_latencies(
            wanted, config, "cpu", 1, cache, lambda _, done, total: self.stages.append((done, total))
        )


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    found = Bench()
    monkeypatch.setattr(latency, "alternate", found.alternate)
    return found


def test_every_part_is_measured_against_v1_and_only_once(bench: Bench, tmp_path: Path) -> None:
    table = bench.ask(V2, tmp_path)
    wanted = [str(placed) for placed in dict.fromkeys([*V1, *V2])]
    assert list(table.times.items()) == [(text, 1.0 + n) for n, text in enumerate(wanted)]
    assert bench.calls == [AT_ONCE, len(wanted) - AT_ONCE]
    assert bench.stages == [(0, 13), (8, 13), (13, 13)]
    assert table.ratio(ARCHS["v1"]) == pytest.approx(1, abs=1e-5)
    assert table.ratio(ARCHS["v2"]) == pytest.approx((1 + sum(range(8, 14))) / sum(range(1, 8)), abs=1e-5)
    assert bench.ask(V2, tmp_path) == table
    assert len(bench.calls) == 2


def test_other_parts_are_added_to_what_is_known(bench: Bench, tmp_path: Path) -> None:
    first = bench.ask(V2, tmp_path)
    both = bench.ask([*V2, *parts_of(ARCHS["featherface"])], tmp_path)
    assert first.times.items() < both.times.items()
    assert bench.ask(V2, tmp_path) == first, "what was not asked for is left out, so the digest stays"


def test_an_interrupted_measurement_continues(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alternate = bench.alternate

    def interrupted(*given: Any) -> Any:
        if bench.calls:
            raise KeyboardInterrupt
        return alternate(*given)

    monkeypatch.setattr(latency, "alternate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench.ask(V2, tmp_path)
    monkeypatch.setattr(latency, "alternate", alternate)
    table = bench.ask(V2, tmp_path)
    assert bench.calls == [8, 5]
    assert sorted(table.times.values()) == [1.0 + n for n in range(13)]


def test_another_size_is_another_table(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = (conditions(SpeedConfig(size=size), "cpu", 1) for size in (64, 96))
    assert {key for key in small if small[key] != large[key]} == {"size"}
    assert conditions(CONFIG, "cpu", 2)["threads"] == 2
    assert small["torch"] == torch.__version__
    first = bench.ask(V2, tmp_path)
    monkeypatch.setattr(latency, "METHOD", 99)
    assert set(bench.ask(V2, tmp_path).times.values()).isdisjoint(first.times.values())


def test_real_parts_run_folded_on_the_maps_of_their_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    seen: list[tuple[int, ...]] = []

    def watched(module: nn.Module, device: str) -> nn.Module:
        own = ready(module, device)
        own.register_forward_pre_hook(lambda _, given: seen.append(_shapes(given[0])))
        return own

    monkeypatch.setattr(latency, "ready", watched)
    space = load_space("v1_to_v2")
    table = ensure_latencies(parts_in(space), CONFIG, "cpu", 1, tmp_path, lambda *_: None)
    assert len(table.times) == len({*map(str, V1), *map(str, parts_in(space))})
    assert all(0 < time < 20 for time in table.times.values())
    assert (3, 64, 64) in seen
    assert (64, 8, 8, 128, 4, 4, 256, 2, 2) in seen, "attention and neck see the backbone's maps"
    assert (74, 8, 8, 74, 4, 4, 74, 2, 2) in seen
    ratio = table.ratio(ARCHS["v2"])
    assert ratio is not None
    assert 0.1 < ratio < 10


def _shapes(given: Any) -> tuple[int, ...]:
    maps = given if isinstance(given, tuple) else (given,)
    return tuple(side for image in maps for side in image.shape[1:])
