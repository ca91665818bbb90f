"""What some devices do otherwise, tried on any CPU: images that lie on them, bfloat16, steps that do not wait."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from harness.core.arch import ARCHS, MOBILENET_STAGES, Part
from harness.core.data import DataConfig
from harness.core.evaluation import EvalConfig
from harness.core.training import DistillConfig, TrainConfig
from harness.models.builder import build
from harness.models.device import precision
from harness.models.inherit import fpgm, inherit
from harness.models.weights import read_tensors, save_weights, state_digest
from harness.training.job import Job
from harness.training.loop import train_epoch
from harness.training.setup import networks, prepare
from tests.training.golden import images_of


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(
        label="v2",
        arch=ARCHS["v2"],
        seed=5,
        train=TrainConfig(epochs=1, batch=5, crops="scrfd"),
        data=DataConfig(size=64, train_images=12, search_images=3),
        evaluation=EvalConfig(),
        folder=tmp_path / "job",
        cache=tmp_path,
        threads=torch.get_num_threads(),
    )


def test_images_on_the_device_are_those_of_the_loaders(
    job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with images_of(tmp_path):
        usual, other = prepare(job), prepare(job)
    expected = list(usual.batches(1))
    assert usual.pixels is None, "a CPU has no use for a copy of them"
    monkeypatch.setattr("harness.training.setup.room_for_images", lambda _: 2**30)
    found = list(other.batches(1))
    assert other.pixels is not None
    assert len(found) == len(expected) == 2
    for (images, targets), (their_images, their_targets) in zip(found, expected, strict=True):
        difference = (images - their_images).abs()
        assert difference.max() <= 6
        assert difference.mean() < 0.2
        assert targets.counts == their_targets.counts
        assert torch.equal(targets.boxes, their_targets.boxes)
        assert torch.equal(targets.landmarks.nan_to_num(-7), their_targets.landmarks.nan_to_num(-7))


def test_a_student_starts_from_a_backbone_of_other_widths(job: Job, tmp_path: Path) -> None:
    save_weights(build(ARCHS["v1"]).backbone, tmp_path / "backbone.safetensors")
    given = read_tensors(tmp_path / "backbone.safetensors")
    widths = Part("mobilenetv1_stages", tuple({**MOBILENET_STAGES.option_dict(), "width_p3": 48}.items()))
    narrow = replace(job, arch=replace(job.arch, backbone=widths))
    fresh, student = (
        networks(replace(narrow, init_backbone=start))[0] for start in (None, tmp_path / "backbone.safetensors")
    )
    expected = inherit(fresh.backbone.state_dict(), given, fpgm)
    assert all(torch.equal(value, expected[name]) for name, value in student.backbone.state_dict().items())
    assert state_digest(student.neck) == state_digest(fresh.neck)
    assert state_digest(student.backbone) != state_digest(fresh.backbone)


@pytest.fixture
def taught(job: Job, tmp_path: Path) -> Job:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        save_weights(build(ARCHS["v1"]), tmp_path / "v1.safetensors")
    distill = DistillConfig(feature_weight=0.5)
    return replace(job, distill=distill, teacher=tmp_path / "v1.safetensors", teacher_arch=ARCHS["v1"])


def compute_in(bfloat16: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the processor has, or has not, instructions for bfloat16, and that it gains by them."""
    monkeypatch.setattr("harness.models.device.BFLOAT16_SIDE", 64)
    found = {"avx512_bf16": bfloat16, "amx_bf16": False}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)


@pytest.mark.trains
def test_bfloat16_has_nearly_the_same_losses(taught: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks and adapters compute in bfloat16; losses and weights are in float32.

    One step, since from the second on, losses depend on how the first one was rounded.
    """
    taught = replace(taught, train=replace(taught.train, batch=12))
    losses = []
    for half in (False, True):
        compute_in(half, monkeypatch)
        with images_of(tmp_path):
            setup = prepare(replace(taught, folder=tmp_path / str(half)))
            losses.append(train_epoch(setup, 1, None)[0])
        assert {parameter.dtype for parameter in setup.parameters} == {torch.float32}
    expected, found = losses
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] != value
        assert found[name] == pytest.approx(value, rel=0.2), name


@pytest.mark.parametrize("half", [True, False])
def test_networks_answer_in_bfloat16_where_the_processor_has_it(
    half: bool, taught: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    compute_in(half, monkeypatch)
    with images_of(tmp_path):
        setup = prepare(taught)
    (images, _), *_ = setup.batches(1)
    answer = setup.taught(images)
    assert answer is not None
    assert setup.teacher is not None
    with torch.no_grad():
        expected = setup.teacher.raw(images)
        with setup.autocast():
            student = setup.student.raw(images)
    assert answer.classes.dtype == student.classes.dtype == (torch.bfloat16 if half else torch.float32)
    for ours, theirs in zip(answer[:3], expected[:3], strict=True):
        assert torch.equal(ours, theirs) != half
        assert (ours - theirs).abs().mean() < 0.02 * theirs.std()
    assert prepare(replace(taught, distill=None)).taught(images) is None


def test_a_processor_held_to_older_instructions_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    compute_in(True, monkeypatch)
    for held_to, expected in (("", "bfloat16"), ("AVX512_CORE_BF16", "bfloat16"), ("avx2", "float32")):
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", held_to)
        assert precision(torch.device("cpu"), 64) == expected
        assert precision(torch.device("cpu"), 32) == "float32", "small maps lose by it"


class Reads(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations that bring values to the host, which wait for a CUDA device.

    Tensors that ``network`` keeps on the host are not counted.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
        self.here = {id(norm.num_batches_tracked) for norm in norms}
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        reads = torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero, torch.ops.aten.equal
        if func.overloadpacket in reads and id(args[0]) not in self.here:
            self.count[str(func)] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.trains
@pytest.mark.parametrize("elsewhere", [True, False])
def test_no_step_waits_for_an_accelerator(
    job: Job, elsewhere: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("training.loop", "detection.losses", "detection.matching"):
        monkeypatch.setattr(f"harness.{module}.on_accelerator", lambda _: elsewhere)
    with torch.random.fork_rng():
        torch.manual_seed(7)
        save_weights(build(ARCHS["v1"]), tmp_path / "v1.safetensors")
    taught = replace(job, distill=DistillConfig(feature_weight=0.5), teacher=tmp_path / "v1.safetensors")
    counts = []
    for batch in (12, 3):  # One step in an epoch, and four.
        train_config = replace(job.train, batch=batch, ema=0.9, ignore_unmatched=True)
        with images_of(tmp_path):
            setup = prepare(replace(taught, teacher_arch=ARCHS["v1"], train=train_config, folder=tmp_path / str(batch)))
            with Reads(setup.student) as reads:
                train_epoch(setup, 1, None)
        counts.append(reads.count)
    one, four = counts
    assert one["aten._local_scalar_dense.default"] > 0, "the epoch's means are read at its end"
    assert (one == four) == elsewhere
