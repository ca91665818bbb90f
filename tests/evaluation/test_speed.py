"""Speed figures of two networks, with a clock that only the networks advance."""

from collections.abc import Iterator
from typing import Any, Self, cast

import pytest
import torch
from torch import Tensor, nn

from harness.core.evaluation import SpeedConfig
from harness.evaluation import speed
from harness.evaluation.speed import measure
from harness.models.builder import build, resolve_arch
from harness.models.detector import Detector

CONFIG = SpeedConfig(size=64, runs=5, warmup=2)
CANDIDATE = [900, 800, 10, 20, 30, 40, 50]
"""Milliseconds of every round: the two of the warm-up first."""
REFERENCE = [1, 2, 40, 30, 60, 20, 200]
"""Reference / candidate: 4, 1.5, 2, 0.5 and 4 after the warm-up."""


class Stage:
    """A clock and a log of the calls; copies of the networks share it."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.ran: list[str] = []
        self.images: list[Tensor] = []
        self.threads: set[int] = set()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


class Timed(nn.Module):
    """A network that takes the given times, in milliseconds, one per call."""

    def __init__(self, name: str, milliseconds: list[int], stage: Stage) -> None:
        super().__init__()
        self.name, self.milliseconds, self.stage = name, list(milliseconds), stage
        self.weight = nn.Parameter(torch.zeros(2, 3, 2, 2))

    def forward(self, image: Tensor) -> None:
        assert not self.training
        assert torch.is_inference_mode_enabled()
        assert self.weight.is_contiguous(memory_format=torch.channels_last)
        assert self.weight.device == image.device
        self.stage.ran.append(self.name)
        self.stage.images.append(image)
        self.stage.threads.add(torch.get_num_threads())
        self.stage.now += self.milliseconds.pop(0) / 1_000


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    found = Stage()
    monkeypatch.setattr(speed, "perf_counter", lambda: found.now)
    threads = torch.get_num_threads()
    yield found
    torch.set_num_threads(threads)


def pair(stage: Stage) -> tuple[Detector, Detector]:
    return cast(Detector, Timed("candidate", CANDIDATE, stage)), cast(Detector, Timed("reference", REFERENCE, stage))


def test_figures_are_medians_of_the_rounds_after_the_warm_up(stage: Stage) -> None:
    assert measure(*pair(stage), CONFIG, "cpu", 1) == {
        "fps": pytest.approx(1_000 / 30),
        "latency_ms": pytest.approx(30),
        "latency_iqr_ms": pytest.approx(40 - 20),
        "ratio_to_v1": pytest.approx(2.0),  # The ratio of the medians would be 4/3.
        "reference_fps": pytest.approx(1_000 / 40),
        "device": "cpu",
        "threads": 1,
        "size": 64,
        "runs": 5,
        "folded": True,
    }


def test_the_order_changes_from_round_to_round(stage: Stage) -> None:
    measure(*pair(stage), CONFIG, "cpu", 1)
    two_rounds = ["reference", "candidate", "candidate", "reference"]
    assert stage.ran == two_rounds * 3 + two_rounds[:2]


def test_both_see_the_same_image_on_the_threads_asked_for(stage: Stage) -> None:
    torch.set_num_threads(1)
    found = measure(*pair(stage), CONFIG, "cpu", 2)
    assert (stage.threads, found["threads"], torch.get_num_threads()) == ({2}, 2, 1)
    assert len({id(image) for image in stage.images}) == 1
    image = stage.images[0]
    assert (tuple(image.shape), image.dtype) == ((1, 3, 64, 64), torch.float32)
    assert image.is_contiguous(memory_format=torch.channels_last)


def test_both_run_on_the_device_asked_for(stage: Stage) -> None:
    networks = pair(stage)
    assert measure(*networks, CONFIG, "meta", 1)["device"] == "meta"
    assert {image.device.type for image in stage.images} == {"meta"}
    assert next(networks[0].parameters()).device.type == "cpu"


def test_a_network_that_fails_leaves_the_threads_as_they_were(stage: Stage) -> None:
    torch.set_num_threads(1)
    short = cast(Detector, Timed("candidate", [], stage))
    with pytest.raises(IndexError):
        measure(short, pair(stage)[1], CONFIG, "cpu", 2)
    assert torch.get_num_threads() == 1


def test_on_cuda_only_the_network_s_own_work_is_timed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call returns at once and leaves its work in the queue; 500 ms of other work are in there before."""
    queue = [0.5]

    def synchronize(device: str) -> None:
        assert device == "cuda:1"
        stage.now += sum(queue)
        queue.clear()

    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    assert speed._milliseconds(lambda: queue.append(0.02), "cuda:1") == pytest.approx(20)
    assert queue == []


def test_a_real_network_is_measured_and_left_alone() -> None:
    torch.manual_seed(0)
    v1, v2 = build(resolve_arch("v1")), build(resolve_arch("v2")).train()
    before = {name: value.clone() for name, value in v2.state_dict().items()}
    found = measure(v2, v1, SpeedConfig(size=64, runs=3, warmup=0), "cpu", 1)
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in speed.ready(v1.backbone, "cpu").modules())
    assert found["fps"] * found["latency_ms"] == pytest.approx(1_000)
    assert v2.training
    assert all(torch.equal(value, before[name]) for name, value in v2.state_dict().items())
    assert all(value.is_contiguous() for value in v2.parameters())
