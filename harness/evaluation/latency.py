"""Latencies of parts, measured once per machine, so that a candidate's latency is predicted without running it.

Adding entries of such a table is the usual prediction in hardware-aware search (ProxylessNAS, Cai et al., arXiv
1812.00332; FBNet, Wu et al., arXiv 1812.03443). There an entry is an operator, here it is a whole part.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from harness.core.digest import digest
from harness.core.evaluation import SpeedConfig
from harness.core.provenance import provenance
from harness.core.retinaface import STRIDES
from harness.evaluation.speed import Pass, alternate, image_noise, noise, ready
from harness.models.builder import build
from harness.models.device import device_name
from harness.models.latency import REFERENCE, LatencyTable, Placed, parts_of
from harness.models.wiring import component

METHOD = 1
"""Version of what is measured; tables of another one are not used."""

AT_ONCE = 8
"""Parts that share a run of V1 in each round: few enough for V1's run to lie within the same load on the machine."""


def conditions(config: SpeedConfig, device: str, threads: int) -> dict[str, str | int]:
    """Return the conditions of a table: machine, device, version of PyTorch, threads and image size."""
    made = provenance(device_name(torch.device(device)))
    return {
        **{name: made.machine[name] for name in ("cpu", "system", "device")},
        "torch": made.versions["torch"],
        "threads": threads,
        "size": config.size,
        "method": METHOD,
    }


def ensure_latencies(
    wanted: Iterable[Placed],
    config: SpeedConfig,
    device: str,
    threads: int,
    cache: Path,
    on_stage: Callable[[str, int, int], None],
) -> LatencyTable:
    """Return the table of the wanted parts and of V1's, after measuring those that no earlier call has measured.

    One process measures at a time. What is measured is written at once, so that an interrupted call continues.

    Args:
        wanted: the parts.
        config: image size, rounds and warm-up rounds.
        device: ``cpu``, ``cuda`` or ``cuda:N``.
        threads: PyTorch's CPU threads during the measurement.
        cache: folder of caches; there is a file for each set of conditions in ``latency/``.
        on_stage: called with a description, the number of parts that are done and the total.

    Raises:
        DataError: the kept table is not readable.
        OSError: the cache cannot be written.
    """
    needed = list(dict.fromkeys([*parts_of(REFERENCE), *wanted]))
    known = conditions(config, device, threads)
    path = cache / "latency" / f"{digest(known)}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        table = LatencyTable.load(path) if path.exists() else LatencyTable(known, {})
        missing = [placed for placed in needed if str(placed) not in table.times]
        for start in range(0, len(missing), AT_ONCE):
            on_stage("measuring the latency of parts", start, len(missing))
            some = missing[start : start + AT_ONCE]
            times = _measure(some, config, device, threads)
            table = LatencyTable(known, {**table.times, **dict(zip(map(str, some), times, strict=True))})
            table.save(path)
        if missing:
            on_stage("measuring the latency of parts", len(missing), len(missing))
    return table.only(needed)


def _measure(parts: Sequence[Placed], config: SpeedConfig, device: str, threads: int) -> list[float]:
    """Return each part's time as a multiple of V1's: the median over the rounds of the ratio."""
    reference = partial(ready(build(REFERENCE), device), image_noise(config.size, device))
    times = alternate([*(_pass(placed, config.size, device) for placed in parts), reference], config, device, threads)
    return [float(ratio) for ratio in np.median(times[:, :-1] / times[:, -1:], axis=0)]


def _pass(placed: Placed, size: int, device: str) -> Pass:
    """Return the forward pass of one part with random weights on random maps."""
    found, options = component(placed.slot, placed.part), placed.part.option_dict()
    given: Any
    if placed.inputs is None:
        module, given = found.module(**options), image_noise(size, device)
    else:
        module = found.module(placed.inputs, **options)
        given = tuple(noise(c, size, stride, device) for c, stride in zip(placed.inputs, STRIDES, strict=True))
    return partial(ready(module, device), given)
