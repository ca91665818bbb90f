"""``make test-numerics``: every test that trains, with other floating-point rounding: instruction sets, threads, seeds.

No test may depend on the floating-point rounding of a training. One processor shows one rounding; here oneDNN
(convolutions) and ATen (everything else) are held to older instruction sets, two threads add up in another order, and
other seeds train other networks. Stops at the first combination that fails. Takes about an hour on two cores.
"""

import itertools
import os
import subprocess
import sys
import time

from harness.core.machine import available_cores
from tests.toy import ROOT

SETS = {
    "SSE4.1": {"ONEDNN_MAX_CPU_ISA": "SSE41", "ATEN_CPU_CAPABILITY": "default"},
    "AVX2": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
    "unrestricted": {},
}
THREADS = (1, 2)
SEEDS = range(5)


def main(arguments: list[str]) -> int:
    """Run all combinations, with ``arguments`` for pytest, and print the result of each."""
    print(f"{'instructions':<14}{'threads':>8}{'seed':>6}{'seconds':>9}  outcome")
    for (name, limits), threads, seed in itertools.product(SETS.items(), THREADS, SEEDS):
        processes = max(1, min(8, available_cores() // threads))
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "trains", "-n", str(processes)]
        command += ["--dist", "loadfile", *arguments]
        environment = os.environ | limits
        environment |= {"HARNESS_TEST_THREADS": str(threads), "HARNESS_TEST_SEED": str(seed)}
        environment |= {"OMP_WAIT_POLICY": "PASSIVE"}  # A waiting thread must not occupy a core by spinning.
        begun = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
        outcome = (done.stdout.strip().splitlines() or [""])[-1]
        print(f"{name:<14}{threads:>8}{seed:>6}{time.monotonic() - begun:>9.0f}  {outcome}", flush=True)
        if done.returncode != 0:
            print(f"\n{done.stdout}{done.stderr}\nfailed: {name}, {threads} threads, seed {seed}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
