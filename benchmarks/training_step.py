"""Time of a training step, with batches, loss, clipping and AdamW, against the network's forward and backward pass."""

from collections.abc import Iterator

from benchmarks.steps import BATCH, bare_network, bare_step, epoch, prepared
from benchmarks.timing import Case, Given, Variant

STEPS = {128: 4, 320: 2, 640: 1}
"""Side of the crops, pixels → steps that are timed at once."""

ROUNDS = {128: 15, 320: 11, 640: 7}


def cases(given: Given) -> Iterator[Case]:
    """Yield V1 and V2 by size. The finding: time of a step of the harness over that of the bare network."""
    for arch in ("v1", "v2"):
        for size, steps in ({64: 1} if given.quick else STEPS).items():
            yield _case(given, arch, size, steps)


def _case(given: Given, arch: str, size: int, steps: int) -> Case:
    setup = prepared(given.folder, arch, size, steps)
    network, images = bare_network(arch), [images for images, _ in setup.batches(1)]

    def bare() -> None:
        for batch in images:
            bare_step(network, batch)

    return Case(
        f"{arch.upper()}, {BATCH} images of {size}×{size}",
        Variant("step of the harness", lambda: epoch(setup), steps),
        Variant("forward and backward", bare, steps),
        rounds=ROUNDS.get(size, 1),
        facts={"faces": sum(sum(targets.counts) for _, targets in setup.batches(1))},
    )
