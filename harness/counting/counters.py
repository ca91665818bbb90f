"""Compares the closed form with independent counters: ``numel``, fvcore and thop. Every difference is explained."""

import copy
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from harness.core.arch import ArchConfig
from harness.errors import HarnessError
from harness.models.costs import count, macs
from harness.models.wiring import assemble


@dataclass(frozen=True)
class Comparison:
    """The result of each counter for one architecture.

    Attributes:
        closed_form, numel, fvcore, thop: parameters.
        skipped: name → size of each parameter that thop leaves out; thop's count plus these is ``numel``.
        size: height and width of the image that MACs are counted for, pixels.
        macs_closed_form: MACs of convolutions and linears.
        macs_fvcore: the same operators, counted by fvcore.
        fvcore_extra: other operator → what fvcore counts for it.
        fvcore_missing: operator that fvcore does not count → number of calls.
        macs_thop: thop's total, which also includes norms and those activations that are modules.
    """

    closed_form: int
    numel: int
    fvcore: int
    thop: int
    skipped: dict[str, int]
    size: tuple[int, int]
    macs_closed_form: int
    macs_fvcore: int
    fvcore_extra: dict[str, int]
    fvcore_missing: dict[str, int]
    macs_thop: int


def compare(arch: ArchConfig, height: int = 64, width: int = 64) -> Comparison:
    """Build the architecture and run every counter on it, for an image of ``height`` × ``width`` pixels.

    Raises:
        InputError: the architecture cannot be built.
        HarnessError: two counters differ, and what one of them skips does not explain the difference.
    """
    with warnings.catch_warnings():
        # fvcore scripts a function on import; thop compares versions through distutils.
        warnings.filterwarnings("ignore", ".*torch.jit.script.* is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", "distutils Version classes are deprecated", DeprecationWarning)
        import fvcore.nn
        import thop

    detector = assemble(arch).eval()
    image = torch.zeros(1, 3, height, width)
    flops = (
        fvcore.nn.FlopCountAnalysis(detector, image).unsupported_ops_warnings(False).uncalled_modules_warnings(False)
    )
    by_operator = {name: int(number) for name, number in flops.by_operator().items()}
    # thop leaves its own buffers in the network, so it gets a copy.
    profiled = copy.deepcopy(detector)
    thop_macs, thop_params, layers = thop.profile(profiled, (image,), verbose=False, ret_layer_info=True)
    answer = Comparison(
        closed_form=count(arch),
        numel=sum(parameter.numel() for parameter in detector.parameters()),
        fvcore=int(fvcore.nn.parameter_count(detector)[""]),
        thop=int(thop_params),
        skipped=_skipped(detector, layers, frozenset(thop.profile.__globals__["register_hooks"])),
        size=(height, width),
        macs_closed_form=sum(macs(arch, height, width).values()),
        macs_fvcore=by_operator.pop("conv", 0) + by_operator.pop("linear", 0),
        fvcore_extra=by_operator,
        fvcore_missing={name: int(number) for name, number in flops.unsupported_ops().items()},
        macs_thop=int(thop_macs),
    )
    _require_explained(answer)
    return answer


def _skipped(
    module: nn.Module, layers: Mapping[str, Any], counted: frozenset[type], prefix: str = ""
) -> dict[str, int]:
    """Return the parameters below ``module`` that thop did not count: name → size.

    thop counts a module only if it has a rule for exactly its type and the module was called. For any other module, it
    visits the children and leaves out the module's own parameters.
    """
    found = {f"{prefix}{name}": p.numel() for name, p in module.named_parameters(recurse=False)}
    for name, child in module.named_children():
        _, params, below = layers[name]
        if type(child) in counted and not isinstance(child, nn.Sequential | nn.ModuleList):
            if not params:
                found |= {f"{prefix}{name}.{key}": p.numel() for key, p in child.named_parameters()}
        else:
            found |= _skipped(child, below, counted, f"{prefix}{name}.")
    return found


def _require_explained(answer: Comparison) -> None:
    with_skipped = answer.thop + sum(answer.skipped.values())
    if not answer.closed_form == answer.numel == answer.fvcore == with_skipped:
        raise HarnessError(
            f"the counters differ without explanation: closed form {answer.closed_form:,}, numel {answer.numel:,}, "
            f"fvcore {answer.fvcore:,}, thop {answer.thop:,} and {with_skipped - answer.thop:,} that it skipped"
        )
    if answer.macs_closed_form != answer.macs_fvcore:
        raise HarnessError(
            f"MACs at {answer.size} differ: closed form {answer.macs_closed_form:,}, "
            f"fvcore's convolutions and linears {answer.macs_fvcore:,}"
        )
