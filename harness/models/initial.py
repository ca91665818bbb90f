"""Initial weights that two networks share wherever their layers have the same name and shape."""

import numpy as np
import torch
from torch import nn


def initialise(network: nn.Module, seed: int) -> None:
    """Draw every layer's initial weights anew, each from random numbers of its own.

    A layer's numbers depend on the seed, its name and its shape, and not on the layers before it: two networks that
    differ in one part start from the same weights everywhere else (common random numbers). Modules that set initial
    values of their own do so in ``reset_parameters``, after their children. PyTorch's global generator is left as it
    was.
    """
    deepest_first = sorted(network.named_modules(), key=lambda item: -item[0].count("."))
    with torch.random.fork_rng(devices=()):
        for name, module in deepest_first:
            reset = getattr(module, "reset_parameters", None)
            if reset is not None:
                own = np.random.SeedSequence([seed, *name.encode()]).generate_state(1)[0]
                # torch.manual_seed also seeds devices, which are not restored, and takes milliseconds per call.
                torch.default_generator.manual_seed(int(own))
                reset()
