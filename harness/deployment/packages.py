"""Packages that only exports or ONNX detection need: a missing one gives one line."""

import importlib
from types import ModuleType

from harness.errors import InputError

EXPORT, DETECT = "pip install '.[export]'", "pip install '.[detect]'"


def need(package: str, remedy: str) -> ModuleType:
    """Import and return a package that the core of this project does without.

    Args:
        package: its name.
        remedy: what to do if it is missing; ``EXPORT`` or ``DETECT`` for the packages of an extra.

    Raises:
        InputError: it is not installed; the message ends with ``remedy``.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        raise InputError(f"{error.name} is not installed: {remedy}") from error
