"""Parameters in blocks are trained as parameters on their own are."""

import copy

import pytest
import torch
from torch import Tensor, nn

from harness.core.arch import ARCHS
from harness.core.training import DistillConfig, TrainConfig
from harness.models.builder import build
from harness.models.detector import Detector
from harness.models.device import place
from harness.training.blocks import block
from harness.training.distill import Distiller
from harness.training.setup import parameter_groups

SCHEDULE = TrainConfig(backbone_lr=0.1, weight_decay=0.5)


@pytest.fixture
def student() -> Detector:
    torch.manual_seed(0)
    network = build(ARCHS["v2"]).train()
    place(network, torch.device("cpu"))
    return network


def parts(network: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in network.named_parameters()}


def test_a_block_holds_the_values_and_keeps_their_memory_format(student: Detector) -> None:
    before, strides = parts(student), {name: p.stride() for name, p in student.named_parameters()}
    parameters = list(student.parameters())
    whole = block(parameters)
    assert whole.numel() == sum(parameter.numel() for parameter in parameters)
    assert len({parameter.untyped_storage().data_ptr() for parameter in parameters}) == 1
    for name, parameter in student.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.stride() == strides[name]
        assert parameter.grad is not None
        assert parameter.grad.stride() == strides[name]
    with torch.no_grad():
        whole.add_(1.0)
    assert all(torch.equal(parameter, before[name] + 1) for name, parameter in student.named_parameters())


def test_no_value_is_held_twice(student: Detector) -> None:
    parameters = list(student.parameters())
    whole = block(parameters)
    with torch.no_grad():
        whole.zero_()
        for parameter in parameters:
            parameter.add_(1.0)
    assert torch.equal(whole, torch.ones_like(whole))


def test_steps_over_blocks_are_those_over_separate_parameters(student: Detector) -> None:
    teacher = build(ARCHS["v1"])
    config = DistillConfig(feature_weight=1.0)
    other = copy.deepcopy(student)
    both: list[tuple[Detector, Distiller, bool]] = [
        (student, Distiller(teacher, student, config), True),
        (other, Distiller(teacher, other, config), False),
    ]
    both[1][1].load_state_dict(both[0][1].state_dict())
    norms: list[list[float]] = []
    before = copy.deepcopy(student)
    images = [60 * torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(n)) for n in range(3)]
    for network, distiller, in_blocks in both:
        groups = parameter_groups(network, distiller, SCHEDULE)
        if in_blocks:
            groups = [{**group, "params": [block(group["params"])]} for group in groups]
        for group in groups:
            group["lr"] = 1e-4 * group["factor"]
        optimizer = torch.optim.AdamW(groups, fused=True)
        trained = [parameter for group in groups for parameter in group["params"]]
        norms.append([])
        for batch in images:
            output = network.raw(batch)
            loss = output.boxes.square().mean() + output.classes.square().mean() + output.landmarks.square().mean()
            adapted = [
                adapter(level).square().mean()
                for adapter, level in zip(distiller.adapters, output.features, strict=True)
            ]
            optimizer.zero_grad(set_to_none=not in_blocks)
            torch.autograd.backward(loss + torch.stack(adapted).sum())
            norms[-1].append(nn.utils.clip_grad_norm_(trained, 0.1).item())
            optimizer.step()
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)
    assert min(norms[0]) > 0.1, "nothing was clipped"
    # Adam turns the rounding of a gradient near zero into a whole step, so that single values may differ.
    moved, apart = distances(before, student), distances(other, student)
    assert {name for name, median in moved.items() if median < 1e-6} == set()
    assert {name: median for name, median in apart.items() if median > 0.01 * moved[name]} == {}


def distances(one: Detector, other: Detector) -> dict[str, float]:
    """Return parameter → median distance of its values."""
    pairs = zip(one.named_parameters(), other.parameters(), strict=True)
    return {name: (a - b).detach().abs().median().item() for (name, a), b in pairs}
