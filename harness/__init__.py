"""Parameter-budget architecture search and ablation harness for light face detectors.

The names for a notebook are loaded when they are used, so that ``import harness`` is fast and needs no PyTorch:

>>> import harness
>>> harness.count("v1")["total"] - harness.count("v2")["total"]
230947
>>> student = harness.load()  # or load("STUDY/best"), load("weights.safetensors"), load("model.onnx")
>>> student.detect("absent.jpg")
Traceback (most recent call last):
harness.errors.DataError: absent.jpg does not exist
"""

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.core.arch import ArchConfig as ArchConfig
    from harness.core.budget import Budget as Budget
    from harness.core.names import add_space as add_space
    from harness.core.names import load_space as load_space
    from harness.core.names import load_study as load_study
    from harness.core.protocol import StudyConfig as StudyConfig
    from harness.core.space import SearchSpace as SearchSpace
    from harness.counting.summary import count as count
    from harness.deployment.exporting import export as export
    from harness.deployment.model import detect as detect
    from harness.deployment.model import load as load
    from harness.evaluation.run import evaluate as evaluate
    from harness.models.builder import build as build
    from harness.study import Study as Study

__version__ = "0.1.0"

MOST_PIXELS = 2**28
"""Largest image that OpenCV decodes; a file of a megabyte may claim a billion pixels."""

os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(MOST_PIXELS))  # Read once, when OpenCV is loaded.

_HOMES = {
    "ArchConfig": "harness.core.arch",
    "Budget": "harness.core.budget",
    "SearchSpace": "harness.core.space",
    "Study": "harness.study",
    "StudyConfig": "harness.core.protocol",
    "add_space": "harness.core.names",
    "build": "harness.models.builder",
    "count": "harness.counting.summary",
    "detect": "harness.deployment.model",
    "evaluate": "harness.evaluation.run",
    "export": "harness.deployment.exporting",
    "load": "harness.deployment.model",
    "load_space": "harness.core.names",
    "load_study": "harness.core.names",
}
"""Name → the module that defines it."""


class _Package(ModuleType):
    """This package: ``harness.detect`` stays the function after the command's module of that name is imported."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
