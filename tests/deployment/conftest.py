"""Exports that are made once for all tests of a process: tracing takes seconds."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from harness import cli
from harness.export import main
from tests.deployment.nets import BEST


class Exported(NamedTuple):
    """A file, and what the command said about it."""

    path: Path
    said: dict[str, Any]


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """Return the JSON object that the command prints."""
    assert main([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def _export(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, *arguments: str) -> Exported:
    said: list[dict[str, Any]] = []
    monkeypatch.setattr(cli, "emit", said.append)
    path = folder / name
    given = ["--weights", str(BEST), "--out", str(path), "--runs", str(folder), "--json", *arguments]
    assert main(given) == 0
    return Exported(path, said[0])


@pytest.fixture(scope="session")
def any_size(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The committed student for pictures of any size, compared with itself on a few generated scenes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.deployment.compare.THREADS", (1,))
        patch.setattr("harness.deployment.exporting.DYNAMIC_SPEED", 64)
        folder = tmp_path_factory.mktemp("any")
        return _export(folder, patch, "any.onnx", "--size", "dynamic", "--data", "synthetic", "--limit", "12")


@pytest.fixture(scope="session")
def int8(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """The committed student at 160 × 160 pixels, quantised."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.deployment.compare.THREADS", (1,))
        folder = tmp_path_factory.mktemp("int8")
        more = ("--size", "160", "--quantize", "int8", "--data", "synthetic", "--limit", "12", "--calibration", "8")
        return _export(folder, patch, "int8.onnx", *more)
