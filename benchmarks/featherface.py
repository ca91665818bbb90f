"""AP of the released FeatherFace on the 600 validation images of a WIDER FACE copy, and its time as a frozen teacher.

    python benchmarks/featherface.py PATH/TO/WIDERFACE PATH/TO/WEIGHTS

writes ``benchmarks/results/featherface.json``. The AP is that of ``python -m harness.evaluate`` at original size. Times
of FeatherFace and of V1 are CPU seconds of one thread, because wall time is unreliable on a busy machine.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import torch

from harness.core.arch import ARCHS
from harness.core.provenance import provenance
from harness.models.builder import build
from harness.models.costs import count_parts, macs
from harness.models.device import place
from harness.models.fold import freeze
from harness.models.weights import file_digest, load_weights

ROOT = Path(__file__).parent.parent
REFERENCE = {"easy": 0.8997, "medium": 0.8973, "hard": 0.7518}
"""APs of the authors' network with these weights on these images, by the same protocol."""
INPUTS = {"batch 8 at 320×320": (8, 3, 320, 320), "one image of 1024×768": (1, 3, 768, 1024)}
REPEATS = 9


def seconds(name: str, weights: Path | None) -> dict[str, float]:
    """Return input → CPU seconds of a frozen teacher's forward pass, the fastest of ``REPEATS``."""
    teacher = build(ARCHS[name])
    if weights is not None:
        load_weights(teacher, weights)
    freeze(teacher)
    place(teacher, torch.device("cpu"))
    found = {}
    for what, shape in INPUTS.items():
        images = (50 * torch.randn(shape)).contiguous(memory_format=torch.channels_last)
        times = []
        with torch.inference_mode():
            for _ in range(REPEATS):
                started = time.process_time()
                teacher.raw(images)
                times.append(time.process_time() - started)
        found[what] = round(min(times), 4)
    return found


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("widerface", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="keep decoded images in RUNS/cache")
    given = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    where = ["--weights", str(given.weights), "--data", str(given.widerface), "--runs", str(given.runs)]
    command = [sys.executable, "-m", "harness.evaluate", "--arch", "featherface", *where, "--json"]
    done = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    answer = json.loads(done.stdout)
    arch = ARCHS["featherface"]
    parts = count_parts(arch)
    measured = {
        "parameters": sum(parts.values()),
        "parts": parts,
        "multiply_adds_at_640": sum(macs(arch, 640, 640).values()),
        "weights_digest": file_digest(given.weights),
        "ap": {name: answer[name] for name in (*REFERENCE, "mean")},
        "images": answer["images"],
        "faces": answer["faces"],
        "protocol": answer["protocol"],
        "largest_difference_to_reference": max(abs(answer[name] - value) for name, value in REFERENCE.items()),
        "frozen_teacher_processor_seconds": {
            "featherface": seconds("featherface", given.weights),
            "v1": seconds("v1", None),
        },
        "machine": {
            "cpu": provenance().machine["cpu"],
            "python": platform.python_version(),
            "torch": torch.__version__,
        },
        "command": "python benchmarks/featherface.py PATH/TO/WIDERFACE PATH/TO/WEIGHTS",
    }
    text = json.dumps(measured, indent=1, ensure_ascii=False)
    (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
    (ROOT / "benchmarks" / "results" / "featherface.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
