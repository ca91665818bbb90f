"""Time and memory of the WIDER FACE evaluator on a published detector's 3,226 images, compared with a plain loop.

    python benchmarks/evaluator.py PATH/TO/WIDERFACE

writes ``benchmarks/results/evaluator.json``. Wall and CPU time are both given; on a busy machine, only CPU time is
reliable. The plain loop is the oracle of the tests. It and the evaluator are compared on every tenth image.
"""

import argparse
import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from harness.core.provenance import provenance
from harness.data.truth import LISTS, load_ground_truth, load_ids
from harness.evaluation.ap import EVALUATOR_VERSION, evaluate_ap
from harness.evaluation.predictions import load_predictions

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from tests.evaluation.ap_oracle import average_precision  # noqa: E402

REFERENCE = {
    "all": {"easy": 0.8978665559972287, "medium": 0.8732664854984611, "hard": 0.7594359398644278},
    "600": {"easy": 0.8867421359757705, "medium": 0.8766141776925465, "hard": 0.7677506414336969},
}
"""APs of the commonly used Python evaluator for the same files; it took 28 s for all images."""


class Timed:
    """The answer of the last of ``repeats`` runs, and the median wall and CPU time of the runs, seconds."""

    def __init__(self, run: Callable[[], Any], repeats: int) -> None:
        walls, processors = [], []
        for _ in range(repeats):
            wall, processor = time.perf_counter(), time.process_time()
            self.answer = run()
            walls.append(time.perf_counter() - wall)
            processors.append(time.process_time() - processor)
        self.wall = statistics.median(walls)
        self.processor = statistics.median(processors)


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("widerface", type=Path)
    parser.add_argument("--repeats", type=int, default=9)
    given = parser.parse_args()
    archive = given.widerface / "published_predictions" / "retinaface_mnet025.tar.gz"
    truth = load_ground_truth(given.widerface / "ground_truth")
    read = Timed(lambda: load_predictions(archive, truth.ids), 1)
    detections = read.answer
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    whole = Timed(lambda: evaluate_ap(detections, truth), given.repeats)
    result = whole.answer
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    ids = load_ids(given.widerface / "val" / "wider_val.txt")
    part_truth = load_ground_truth(given.widerface / "ground_truth", ids)
    part = evaluate_ap(load_predictions(archive, ids), part_truth)

    few_truth = load_ground_truth(given.widerface / "ground_truth", truth.ids[::10])
    few = detections[::10]
    own = Timed(lambda: evaluate_ap(few, few_truth), given.repeats)
    rows, faces = [d.tolist() for d in few], [b.tolist() for b in few_truth.boxes]
    keep = {name: [mask.tolist() for mask in few_truth.keep[name]] for name in LISTS}
    plain = Timed(lambda: {name: average_precision(rows, faces, keep[name]) for name in LISTS}, 1)

    measured = {
        "evaluator": EVALUATOR_VERSION,
        "images": result.images,
        "faces": result.faces,
        "detections": sum(map(len, detections)),
        "seconds": round(whole.wall, 4),
        "processor_seconds": round(whole.processor, 4),
        "read_processor_seconds": round(read.processor, 4),
        "peak_memory_mib": round(memory / 1024),
        "memory_of_evaluation_mib": round((memory - before) / 1024),
        "ap": result.to_dict(),
        "ap_600": part.to_dict(),
        "largest_difference_to_reference": max(
            abs(getattr(answer, name) - REFERENCE[which][name])
            for which, answer in (("all", result), ("600", part))
            for name in LISTS
        ),
        "plain_loop": {
            "images": len(few),
            "processor_seconds": round(plain.processor, 3),
            "evaluator_processor_seconds": round(own.processor, 5),
            "times_faster": round(plain.processor / own.processor),
            "largest_difference": max(abs(getattr(own.answer, name) - (plain.answer[name] or 0.0)) for name in LISTS),
        },
        "machine": {"cpu": provenance().machine["cpu"], "python": platform.python_version(), "numpy": np.__version__},
        "command": "python benchmarks/evaluator.py PATH/TO/WIDERFACE",
    }
    text = json.dumps(measured, indent=1)
    (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
    (ROOT / "benchmarks" / "results" / "evaluator.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
