"""Time of each step of prediction per image, at original size on one thread, for an untrained network.

    python benchmarks/prediction.py PATH/TO/WIDERFACE

writes ``benchmarks/results/prediction.json``. It measures CPU time, since wall time is unreliable on a busy machine. An
untrained V2 whose BatchNorms are fitted to some images has thousands of candidates in every image, the worst case for
NMS. It is timed with and without folded BatchNorms. Its NMS is compared with OpenCV's over all candidates and with a
vectorised one.
"""

import argparse
import copy
import json
import platform
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from harness.core.protocol import EvalConfig
from harness.data.decode import read_image
from harness.data.truth import load_ground_truth, load_ids
from harness.detection.boxes import iou, make_priors, nms
from harness.evaluation.ap import evaluate_ap
from harness.evaluation.inference import Image, candidates, plan, prepare, suppress
from harness.models.builder import build, resolve_arch
from harness.models.detector import Detector
from harness.models.fold import freeze

ROOT = Path(__file__).parent.parent


class Clock:
    """CPU seconds by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add the CPU time of the ``with`` block to ``name``."""
        started = time.process_time()
        yield
        self.seconds[name] += time.process_time() - started

    def milliseconds(self, images: int) -> dict[str, float]:
        """Return name → milliseconds per image."""
        return {name: round(1e3 * value / images, 2) for name, value in self.seconds.items()}


def untrained(images: list[Image]) -> Detector:
    """Return V2 with random weights and with BatchNorms fitted to corners of some images."""
    torch.manual_seed(0)
    detector = build(resolve_arch("v2")).train()
    for module in detector.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    corner = [image[:256, :256] for image in images if min(image.shape[:2]) >= 256][:16]
    with torch.no_grad():
        detector(prepare(corner, [plan(256, 256, 0, 1)] * len(corner)))
    return detector.eval()


def vectorised(boxes: NDArray[np.float32], threshold: float, limit: int, block: int = 128) -> NDArray[np.int64]:
    """Apply NMS to boxes sorted by score: each block is compared with all kept boxes, then with itself."""
    every, kept = torch.from_numpy(boxes), torch.zeros(0, dtype=torch.int64)
    for start in range(0, len(boxes), block):
        mine = torch.arange(start, min(start + block, len(boxes)))
        mine = mine[~(iou(every[mine], every[kept]) > threshold).any(dim=1)]
        near = (iou(every[mine], every[mine]) > threshold).numpy()
        alive = np.ones(len(mine), dtype=np.bool_)
        for row in range(len(mine)):
            if alive[row]:
                alive[row + 1 :] &= ~near[row, row + 1 :]
        kept = torch.cat((kept, mine[torch.from_numpy(alive)]))
        if len(kept) >= limit:
            break
    return kept[:limit].numpy()


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("widerface", type=Path)
    parser.add_argument("--images", type=int, default=40, help="number of validation images (%(default)s)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    ids = load_ids(given.widerface / "val" / "wider_val.txt")
    ids = ids[:: len(ids) // given.images][: given.images]
    images = [read_image(given.widerface / "val" / "images" / f"{name}.jpg") for name in ids]
    config, clock = EvalConfig(), Clock()
    plain = untrained(images)
    folded = copy.deepcopy(plain)
    with clock.timed("fold"):
        freeze(folded)
    found: dict[str, list[NDArray[np.float32]]] = {"plain": [], "folded": []}
    entered = []
    with torch.inference_mode():
        for image in images:
            shape = plan(image.shape[0], image.shape[1], 0, config.pad_multiple)
            priors = make_priors(shape.input_height, shape.input_width)
            with clock.timed("prepare"):
                pixels = prepare([image], [shape])
            for name, network in (("plain", plain), ("folded", folded)):
                with clock.timed(f"network {name}"):
                    boxes, classes, landmarks = network(pixels)
                with clock.timed(f"candidates {name}"):
                    (rows,) = candidates(boxes, classes[..., 1], landmarks, priors, config)
                with clock.timed(f"suppression {name}"):
                    found[name].append(suppress(rows, config))
            entered.append(rows)
    limit, overlap = config.max_detections, config.nms_iou
    for rows in entered:
        corners, scores = rows[:, :4], rows[:, 4]
        with clock.timed("nms"):
            first = nms(corners, scores, overlap, limit)
        with clock.timed("nms opencv, all candidates"):
            every = nms(corners, scores, overlap, len(scores))
        with clock.timed("nms vectorised"):
            other = vectorised(corners, overlap, limit)
        assert np.array_equal(first, every[:limit])
        assert np.mean(first == other) > 0.99
    truth = load_ground_truth(given.widerface / "ground_truth", ids)
    ap = {name: evaluate_ap(rows, truth).to_dict() for name, rows in found.items()}
    measured = {
        "images": len(images),
        "megapixels": round(float(np.mean([image.shape[0] * image.shape[1] for image in images])) / 1e6, 3),
        "candidates": round(float(np.mean([len(rows) for rows in entered]))),
        "milliseconds_an_image": clock.milliseconds(len(images)),
        "ap": ap["folded"],
        "largest_ap_difference_by_folding": max(
            abs((ap["plain"][name] or 0.0) - (value or 0.0)) for name, value in ap["folded"].items()
        ),
        "threads": 1,
        "machine": {"processor": platform.processor() or platform.machine(), "torch": torch.__version__},
        "command": "python benchmarks/prediction.py PATH/TO/WIDERFACE",
    }
    text = json.dumps(measured, indent=1)
    (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
    (ROOT / "benchmarks" / "results" / "prediction.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
