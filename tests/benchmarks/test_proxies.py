"""Zero-cost proxies: what is known of them holds, and each equals an independent computation."""

import copy
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from benchmarks.scores.proxies import fisher, flows, gradient_norm, naswot, synflow
from harness.core.arch import ARCHS, ArchConfig
from harness.core.budget import Budget
from harness.core.names import load_space
from harness.counting import SpaceCounts
from harness.models.builder import build
from harness.models.initial import initialise

ACTIVATIONS = ("relu", "silu")


def plain(bias: bool = False) -> nn.Sequential:
    """Convolutions, BatchNorms, activations and a linear layer in a row."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1, bias=bias),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Conv2d(6, 4, 3, stride=2, groups=2, bias=bias),
        nn.LeakyReLU(0.1),
        nn.Flatten(),
        nn.Linear(4 * 3 * 3, 5, bias=bias),
    ).train()


def images(count: int = 4) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(5))


def answer(network: nn.Module) -> Tensor:
    return network(torch.ones(1, 3, 8, 8, dtype=torch.float64)).sum()  # type: ignore[no-any-return]


def loss_of(network: nn.Module, batch: Tensor) -> Callable[[], Tensor]:
    return lambda: network(batch).square().mean()


class TestSynflow:
    def test_every_layer_carries_the_whole_response(self) -> None:
        """Tanaka et al.: synaptic flow is conserved from layer to layer, up to the network's output."""
        found = flows(plain(), answer)
        assert set(found) == {"0.weight", "3.weight", "6.weight"}
        response = found["6.weight"].sum().item()
        assert response > 0
        for name, flow in found.items():
            assert flow.sum().item() == pytest.approx(response, rel=1e-12), name
        assert synflow(plain(), answer) == pytest.approx(3 * response, rel=1e-12)

    def test_it_is_the_product_of_absolute_weights_along_all_paths(self) -> None:
        network = nn.Sequential(nn.Linear(2, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False))
        first, second = (network.get_parameter(f"{at}.weight").detach().abs().double() for at in (0, 2))
        wanted = (second @ first @ torch.ones(2, dtype=torch.float64)).sum().item()
        found = flows(network, lambda net: net(torch.ones(1, 2, dtype=torch.float64)).sum())
        assert found["0.weight"].sum().item() == pytest.approx(wanted)
        assert found["2.weight"] == pytest.approx(second * (first.sum(1)))

    def test_signs_statistics_and_scales_of_norms_play_no_role(self) -> None:
        network, other = plain(), plain()
        with torch.no_grad():
            other.get_parameter("0.weight").neg_()
            other.get_parameter("1.weight").mul_(7)
        other(images())
        assert synflow(other, answer) == synflow(network, answer)

    def test_the_network_is_left_as_it_was(self) -> None:
        network = plain()
        before = copy.deepcopy(network.state_dict())
        synflow(network, answer)
        assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
        assert all(parameter.grad is None for parameter in network.parameters())
        assert isinstance(network[1], nn.BatchNorm2d)

    def test_biases_are_not_counted(self) -> None:
        found = flows(plain(bias=True), answer)
        assert synflow(plain(bias=True), answer) == sum(
            f.sum().item() for n, f in found.items() if n.endswith("weight")
        )
        assert "0.bias" in found


def test_the_gradient_norm_is_that_of_autograd_layer_by_layer() -> None:
    network, batch = plain(bias=True), images()
    weights = [p for name, p in network.named_parameters() if name in ("0.weight", "3.weight", "6.weight")]
    wanted = sum(gradient.norm().item() for gradient in torch.autograd.grad(loss_of(network, batch)(), weights))
    assert gradient_norm(network, loss_of(network, batch)) == pytest.approx(wanted)


def test_a_frozen_layer_has_no_gradient_norm() -> None:
    network, batch = plain(), images()
    whole = gradient_norm(network, loss_of(network, batch))
    frozen = plain()
    frozen[0].requires_grad_(False)
    (gradient,) = torch.autograd.grad(loss_of(network, batch)(), [network.get_parameter("0.weight")])
    assert gradient_norm(frozen, loss_of(frozen, batch)) == pytest.approx(whole - gradient.norm().item())


def test_fisher_is_that_of_the_convolutions_outputs() -> None:
    network, batch = plain(), images()
    first = network[0](batch)
    second = network[3](network[2](network[1](first)))
    loss = network[6](network[5](network[4](second))).square().mean()
    wanted = 0.0
    for image, gradient in zip((first, second), torch.autograd.grad(loss, (first, second)), strict=True):
        image = image.detach()
        for channel in range(image.shape[1]):
            squares = [float((image[n, channel] * gradient[n, channel]).sum()) ** 2 for n in range(len(batch))]
            wanted += sum(squares) / (2 * len(batch))
    assert fisher(network, loss_of(network, batch)) == pytest.approx(wanted)


def test_fisher_counts_every_use_of_a_convolution_and_leaves_no_hook() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 3, 1)

        def forward(self, image: Tensor) -> Tensor:
            return self.conv(torch.tanh(self.conv(image)))  # type: ignore[no-any-return]

    network, batch = Twice(), images()
    first = network.conv(batch)
    second = network.conv(torch.tanh(first))
    pairs = zip((first, second), torch.autograd.grad(second.square().mean(), (first, second)), strict=True)
    wanted = sum(float(((a.detach() * g).sum((2, 3)) ** 2).sum()) / 8 for a, g in pairs)
    assert fisher(network, loss_of(network, batch)) == pytest.approx(wanted)
    assert not network.conv._forward_hooks


class TestNaswot:
    def test_three_images_whose_codes_are_written_down(self) -> None:
        """Codes 1100, 1010 and 0110: two units differ between any two, so that K has 4 and 2."""
        signs = torch.tensor([[1.0, 1, -1, -1], [1, -1, 1, -1], [-1, 1, 1, -1]]).view(3, 4, 1, 1)
        assert naswot(lambda: F.relu(signs)) == pytest.approx(math.log(4**3 + 2 * 2**3 - 3 * 4 * 2**2))

    def test_the_sign_of_what_enters_any_activation_counts(self) -> None:
        signs = torch.randn(3, 4, 2, 2, generator=torch.Generator().manual_seed(1))
        wanted = naswot(lambda: F.relu(signs))
        layers: list[Callable[[], Tensor]] = [
            lambda: nn.LeakyReLU(0.1)(signs),
            lambda: nn.LeakyReLU(0.1, inplace=True)(signs.clone()),
            lambda: nn.ReLU(inplace=True)(signs.clone()),
            lambda: F.silu(signs),
            lambda: torch.relu(signs),
            lambda: signs.clone().relu_(),
        ]
        for layer in layers:
            assert naswot(layer) == wanted

    def test_codes_of_several_layers_are_joined(self) -> None:
        one, two = (torch.randn(3, c, 2, 2, generator=torch.Generator().manual_seed(c)) for c in (3, 5))
        both = naswot(lambda: (F.relu(one), F.silu(two)))
        assert both == pytest.approx(naswot(lambda: F.relu(torch.cat((one, two), 1))))

    def test_equal_codes_have_no_determinant(self) -> None:
        assert naswot(lambda: F.relu(torch.ones(2, 3, 1, 1))) == -math.inf

    def test_a_network_without_activations_is_refused(self) -> None:
        with pytest.raises(ValueError, match="no activations"):
            naswot(lambda: F.relu(torch.ones(2, 3)))


class _Calls(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts units of activations of maps by what PyTorch runs in the end."""

    units = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if any(name in str(func) for name in ACTIVATIONS) and args[0].ndim == 4:
            self.units += args[0][0].numel()
        return func(*args, **(kwargs or {}))


def _archs() -> list[ArchConfig]:
    space = load_space("architectures")
    counts, rng = SpaceCounts(space), np.random.default_rng(0)
    return [ARCHS["v1"], ARCHS["v2"], *(space.arch(counts.sample(Budget(), rng)) for _ in range(4))]


@pytest.mark.parametrize("arch", _archs(), ids=["v1", "v2", "0", "1", "2", "3"])
def test_no_activation_of_a_detector_is_missed(arch: ArchConfig) -> None:
    network = build(arch).train()
    initialise(network, 0)
    batch = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    with torch.no_grad(), _Calls() as calls:  # type: ignore[no-untyped-call]
        network.raw(batch)
    codes: list[float] = []
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        slogdet = torch.linalg.slogdet

        def seen(kernel: Tensor) -> object:
            codes.extend(kernel.diagonal().tolist())
            return slogdet(kernel)

        patch.setattr(torch.linalg, "slogdet", seen)
        assert math.isfinite(naswot(lambda: network.raw(batch)))
    assert codes == [calls.units, calls.units]
