"""Time of generating a synthetic scene against the time of training on one image."""

from collections.abc import Iterator

from benchmarks.steps import BATCH, epoch, v2_steps
from benchmarks.timing import Case, Given, Variant
from harness.data.synthetic.generate import GENERATOR_VERSION, SIDE, keep_lists, render_scene


def cases(given: Given) -> Iterator[Case]:
    """Yield one case. The finding: time of a scene over that of an image in V2's training step at 128 pixels."""
    setup, steps = v2_steps(given)
    scenes = 2 if given.quick else BATCH * steps

    def make() -> None:
        for index in range(scenes):
            keep_lists(render_scene(0, "search", index))

    yield Case(
        f"scenes of {SIDE}×{SIDE}, crops of {setup.job.data.size}×{setup.job.data.size}",
        Variant("making a scene", make, scenes),
        Variant("training on an image", lambda: epoch(setup), BATCH * steps),
        facts={"generator": GENERATOR_VERSION, "scenes": scenes, "batch": BATCH},
    )
