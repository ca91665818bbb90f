"""Zero-cost proxies: scores of a network that is not trained, from one forward pass or one gradient.

Abdelfattah et al., "Zero-Cost Proxies for Lightweight NAS", arXiv 2101.08134, compare several of them. The networks
here compute more than convolutions and ReLUs; each function says what it leaves out.
"""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

_MAP = 4
"""Dimensions of a batch of maps, (B, C, h, w)."""

_ACTIVATIONS = ("relu", "relu_", "leaky_relu", "leaky_relu_", "silu")


def gradient_norm(network: nn.Module, loss: Callable[[], Tensor]) -> float:
    """Return the norms of the loss's gradients, summed over the weight tensors of convolutions and linear layers.

    As in the code of Abdelfattah et al., who add up the norms of the layers.

    Args:
        network: without gradients.
        loss: computes the loss of a batch.
    """
    torch.autograd.backward(loss())
    norms = [p.grad.norm().item() for p in network.parameters() if p.ndim > 1 and p.grad is not None]
    return float(sum(norms))


def fisher(network: nn.Module, loss: Callable[[], Tensor]) -> float:
    """Return the Fisher information of the outputs of all convolutions, summed over their channels.

    That of a channel is Σₙ (Σ a · g)² / 2B, with its map a and the loss's gradient g by this map; the inner sum is over
    pixels, the outer one over the B images (Turner et al., "BlockSwap", arXiv 1906.04113). A convolution that runs on
    several levels counts once for each. Convolutions over something other than maps, in attention gates, and frozen
    ones are left out.
    """
    maps: list[Tensor] = []

    def keep(_: nn.Module, __: Any, output: Tensor) -> None:
        if output.requires_grad:
            output.retain_grad()
            maps.append(output)

    hooks = [module.register_forward_hook(keep) for module in network.modules() if isinstance(module, nn.Conv2d)]
    try:
        torch.autograd.backward(loss())
    finally:
        for hook in hooks:
            hook.remove()
    return sum(_channels(image.detach(), image.grad).sum().item() for image in maps if image.grad is not None)


def _channels(image: Tensor, gradient: Tensor) -> Tensor:
    """Return the Fisher information of each channel (C,) of maps (B, C, h, w)."""
    return (image * gradient).sum((2, 3)).square().mean(0) / 2


def naswot(forward: Callable[[], object]) -> float:
    """Return log |K|, where K[i, j] is the number of activations whose inputs have the same sign for images i and j.

    Mellor et al., "Neural Architecture Search without Training", arXiv 2006.04647, section 3: all units minus the
    Hamming distance of two images' binary codes. The paper has ReLUs; here, LeakyReLUs and SiLUs count too, by the sign
    of their input. Activations in attention gates, which have no maps, are left out.

    Args:
        forward: runs a network on a batch of at least two images.

    Returns:
        minus infinity if two images have the same code.
    """
    with _Codes() as codes:
        forward()
    if codes.kernel is None:
        raise ValueError("the network has no activations of maps")
    return float(torch.linalg.slogdet(codes.kernel).logabsdet)


class _Codes(TorchFunctionMode):
    """Adds up the kernel of all activations of maps that are computed inside, modules' and functions' alike.

    Attributes:
        kernel: (B, B) float64; None before the first activation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kernel: Tensor | None = None

    def __torch_function__(
        self, func: Any, types: Iterable[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if getattr(func, "__name__", "") in _ACTIVATIONS:
            image: Tensor = args[0] if args else given["input"]
            if image.ndim == _MAP:
                self._add(image.detach())
        return func(*args, **given)

    def _add(self, image: Tensor) -> None:
        positive = (image > 0).flatten(1).float()
        # Sums of ones and zeros are exact in float32 below 2^24; a batch of maps has fewer units per image.
        same = positive @ positive.T + (1 - positive) @ (1 - positive).T
        self.kernel = same.double() if self.kernel is None else self.kernel + same


def synflow(network: nn.Module, respond: Callable[[nn.Module], Tensor]) -> float:
    """Return the synaptic flow, summed over the weights of convolutions and linear layers.

    Args:
        network: is not changed.
        respond: returns R, the sum of a network's outputs for an input of ones, in float64.
    """
    return sum(flow.sum().item() for flow in flows(network, respond).values() if flow.ndim > 1)


def flows(network: nn.Module, respond: Callable[[nn.Module], Tensor]) -> dict[str, Tensor]:
    """Return parameter → its synaptic flow |θ · ∂R/∂θ| in a copy of the network with absolute parameters.

    Tanaka et al., "Pruning neural networks without any data by iteratively conserving synaptic flow", arXiv 2006.05467.
    BatchNorms pass on their input, as Abdelfattah et al. have it. In float64, because R grows by a factor
    per layer. In plain layers without biases the flows of a layer add up to R; gates, SiLUs and normalised fusion
    weights do not conserve them exactly.
    """
    linear = copy.deepcopy(network).double().requires_grad_(True)
    for module in list(linear.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        for parameter in linear.parameters():
            parameter.abs_()
    torch.autograd.backward(respond(linear))
    return {
        name: (parameter * parameter.grad).abs().detach()
        for name, parameter in linear.named_parameters()
        if parameter.grad is not None
    }
