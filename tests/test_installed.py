"""The wheel: what it holds, and its commands in an empty folder of an environment without a network."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from typing import Any

import cv2
import pytest

import harness
from harness.core.names import space_names, study_names
from harness.data.synthetic.generate import render_scene
from tests.deployment.nets import BEST, ROOT

pytestmark = pytest.mark.slow

SOURCES = ("harness", "search_spaces", "studies", "reports/default-v2_p5-synthetic")
FILES = ("pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")

OFFLINE = """
import errno, os, sys

def hook(event, arguments):
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if host not in (None, "", "localhost", "127.0.0.1", "::1"):
        with open(os.environ["REACHED"], "a") as file:
            file.write(f"{host}\\n")
        raise OSError(errno.ENETUNREACH, "there is no network here")

sys.addaudithook(hook)
"""
"""Refuses every address that is not this machine, and lists it in the file that the environment names."""

OWN = Path(__file__).parent / "own.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: building leaves files in its folder."""
    copy, target = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheel")
    for folder in SOURCES:
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, copy)
    for stray in ("tests", "benchmarks"):
        (copy / stray).mkdir()
        (copy / stray / "__init__.py").touch()
    how = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--disable-pip-version-check"]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *how, "--wheel-dir", str(target), str(copy)], check=True)
    (built,) = target.iterdir()
    return built


def _environment() -> dict[str, str]:
    """Return the environment without what would show this repository to Python."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


class Installed:
    """The wheel in a new environment that sees the packages of this one; ``here`` is where its commands run."""

    def __init__(self, wheel: Path, folder: Path) -> None:
        environment, self.here = folder / "environment", folder / "here"
        self.here.mkdir()
        self.bin, self.reached = environment / "bin", folder / "reached"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        python = str(self.bin / "python")
        how = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "--python", python, "install", *how, str(wheel)]
        subprocess.run(command, env=_environment(), check=True)
        # Named afterwards, so that pip sees no other installation of this project. Its ``.pth`` files have no effect.
        (packages,) = environment.glob("lib/python3*/site-packages")
        (packages / "others.pth").write_text(f"{sysconfig.get_paths()['purelib']}\nimport offline\n")
        (packages / "offline.py").write_text(OFFLINE)

    def run(self, *words: str, code: int = 0) -> str:
        """Return what a command of the environment prints."""
        done = subprocess.run(
            [self.bin / words[0], *words[1:]],
            capture_output=True,
            text=True,
            cwd=self.here,
            env=_environment() | {"REACHED": str(self.reached)},
            check=False,
        )
        assert done.returncode == code, done.stderr
        return done.stdout

    def answer(self, *words: str) -> dict[str, Any]:
        """Return the JSON object that a command prints."""
        found: dict[str, Any] = json.loads(self.run("featherface-harness", *words, "--json"))
        return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(wheel, tmp_path_factory.mktemp("installed"))


def test_the_wheel_holds_the_packages_with_their_data_and_nothing_else(wheel: Path) -> None:
    ignored = {"__pycache__"}
    wanted = {
        str(path.relative_to(ROOT))
        for folder in ("harness", "search_spaces", "studies")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and not ignored & set(path.parts)
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
        student = archive.read("harness/weights/student_scenes.safetensors")
    assert held == wanted
    assert {"harness/py.typed", "harness/weights/v1_scenes.safetensors"} <= held
    assert student == BEST.read_bytes()
    assert wheel.name.startswith(f"featherface_harness-{harness.__version__}-py3")


def test_commands_of_an_installation(installed: Installed) -> None:
    run = installed.run
    assert run("featherface-harness", "--version") == run("python", "-m", "harness.study", "--version")
    assert run("featherface-harness", "--version") == f"{harness.__version__}\n"
    where = run("python", "-c", "import harness, search_spaces; print(harness.__file__, search_spaces.__file__)")
    assert str(ROOT) not in where
    assert "usage: featherface-harness budget " in run("featherface-harness", "budget", "--help")
    assert "python -m" not in run("featherface-harness", "study", "--help")
    assert run("featherface-harness", "nonsense", code=2) == ""
    listed = installed.answer("study", "--list")
    assert (sorted(listed["spaces"]), sorted(listed["studies"])) == (space_names(), study_names())
    assert installed.answer("budget", "--space", "v2_light")["feasible"] == 1_119_490
    assert [*installed.here.iterdir()] == []


@pytest.mark.trains
def test_a_study_and_its_student_without_a_network(installed: Installed) -> None:
    """A space and a study of one's own; everything is written to ``runs/`` in the current folder."""
    here = installed.here
    shutil.copy(OWN, here)
    cv2.imwrite(str(here / "scene.png"), render_scene(0, "val", 0, 160).image)
    own = ["--study-file", "own.py", "--space-file", "own.py", "--device", "cpu", "--threads", "1", "--workers", "1"]
    found = installed.answer("study", *own)
    assert (found["name"], found["trials"]["complete"]) == ("own-necks-synthetic", 1)
    assert sorted(path.name for path in here.iterdir()) == ["own.py", "runs", "scene.png"]
    study = here / "runs" / "own-necks-synthetic"
    assert (study / "report" / "report.md").is_file()
    assert (here / "runs" / "mlflow.db").is_file()
    assert installed.answer("detect", "scene.png", "--model", "own-necks-synthetic/best")["images"]
    assert installed.answer("detect", "scene.png")["images"][0]["faces"]
    # The folder keeps what the study needs to go on.
    assert (study / "space.py").read_text() == (study / "study.py").read_text() == OWN.read_text()
    assert not installed.reached.exists(), installed.reached.read_text()
