"""Synthetic scenes per second with one process and with one process per core.

    python benchmarks/synthetic.py

writes ``benchmarks/results/synthetic.json``. Wall and CPU time are both given; on a busy machine, only CPU time is
reliable. ``load_before`` is the machine's load before the run. The time of several processes includes their start.
"""

import argparse
import json
import os
import platform
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from harness.core.machine import available_cores
from harness.core.protocol import DataConfig
from harness.core.provenance import provenance
from harness.data.synthetic import generate as synthetic

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Measure, print and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=int, default=400)
    given = parser.parse_args()
    cores, load = available_cores(), os.getloadavg()[0]
    config = DataConfig(val_images=given.scenes, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        wall, processor = time.perf_counter(), time.process_time()
        faces = synthetic.generate(config, "val", Path(folder) / "one", None, 1)
        processor, wall = time.process_time() - processor, time.perf_counter() - wall
        started = time.perf_counter()
        several = synthetic.generate(config, "val", Path(folder) / "several", None, cores)
        together = time.perf_counter() - started
    height = faces.boxes[:, 3] - faces.boxes[:, 1]
    measured = {
        "generator": synthetic.GENERATOR_VERSION,
        "scenes": len(faces),
        "faces": len(faces.boxes),
        "faces_by_list": {name: int(mask.sum()) for name, mask in faces.keep.items()},
        "face_height_percentiles": {p: round(float(np.percentile(height, p)), 1) for p in (5, 25, 50, 75, 95)},
        "one_process": {
            "scenes_per_second": round(len(faces) / wall, 1),
            "scenes_per_processor_second": round(len(faces) / processor, 1),
        },
        "several_processes": {"processes": cores, "scenes_per_second": round(len(faces) / together, 1)},
        "same_result": faces.digest == several.digest,
        "machine": {"cpu": provenance().machine["cpu"], "python": platform.python_version(), "opencv": cv2.__version__},
        "load_before": round(load, 2),
        "command": "python benchmarks/synthetic.py",
    }
    text = json.dumps(measured, indent=1)
    (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
    (ROOT / "benchmarks" / "results" / "synthetic.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
