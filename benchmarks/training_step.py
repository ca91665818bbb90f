"""Time of a training step, with batches, loss, clipping and AdamW, against the network's forward and backward pass.

And what bfloat16 saves on processors that have instructions for it.
"""

from collections.abc import Iterator

import torch

from benchmarks.steps import BATCH, bare_network, bare_step, epoch, prepared
from benchmarks.timing import Case, Given, Variant
from harness.models.device import has_bfloat16, precision

STEPS = {128: 4, 320: 2, 640: 1}
"""Side of the crops, pixels → steps that are timed at once."""

CPU = torch.device("cpu")
ROUNDS = {128: 15, 320: 11, 640: 7}


def cases(given: Given) -> Iterator[Case]:
    """Yield V1 and V2 by size. The finding: time of a step of the harness over that of the bare network."""
    for arch in ("v1", "v2"):
        for size, steps in ({64: 1} if given.quick else STEPS).items():
            yield from _cases(given, arch, size, steps)


def _cases(given: Given, arch: str, size: int, steps: int) -> Iterator[Case]:
    setup = prepared(given.folder, arch, size, steps)
    network, images = bare_network(arch), [images for images, _ in setup.batches(1)]

    def bare(computes: str = "") -> None:
        for batch in images:
            bare_step(network, batch, computes)

    name, rounds = f"{arch.upper()}, {BATCH} images of {size}×{size}", ROUNDS.get(size, 1)
    yield Case(
        name,
        Variant("step of the harness", lambda: epoch(setup), steps),
        Variant("forward and backward", bare, steps),
        rounds=rounds,
        facts={"faces": sum(sum(targets.counts) for _, targets in setup.batches(1)), "precision": precision(CPU, size)},
    )
    if has_bfloat16(CPU):
        yield Case(
            name,
            Variant("forward and backward in bfloat16", lambda: bare("bfloat16"), steps),
            Variant("in float32", lambda: bare("float32"), steps),
            rounds=rounds,
        )
