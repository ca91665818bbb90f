"""Processes that must not outlive the one that started them, which is killed here."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
PATIENCE = 60

SLEEP = "import time; print('ready', flush=True); time.sleep(600)"
WITH_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"
SERVER = f"""
import subprocess, sys, time
from harness.core.processes import guarded
command = guarded([sys.executable, "-c", {WITH_CHILD!r}])
process = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
process.wait()
"""
SCENES = """
import sys
from pathlib import Path
from harness.core.protocol import DataConfig
from harness.data.synthetic.generate import generate
if __name__ == "__main__":
    told = lambda *_: print("ready", flush=True)
    generate(DataConfig(train_images=100_000), "train", Path(sys.argv[1]) / "set", told, 2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("script", [SERVER, SCENES], ids=["a server", "scenes"])
def test_nothing_outlives_a_process_that_was_killed(script: str, tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(script)
    command = [sys.executable, str(tmp_path / "main.py"), str(tmp_path)]
    with subprocess.Popen(command, env={"PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        started = psutil.Process(process.pid).children(recursive=True)
        assert len(started) >= 2
        process.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(started, PATIENCE)
    for orphan in alive:
        orphan.kill()
    assert alive == []


def test_a_guarded_command_is_asked_to_end_and_may_take_its_time() -> None:
    ends = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), sys.exit(7)))"
    command = [sys.executable, "-m", "harness.core.processes", sys.executable, "-c", f"{ends}; {SLEEP}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, start_new_session=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        begun = time.monotonic()
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(PATIENCE) == 7
        assert time.monotonic() - begun >= 0.5
