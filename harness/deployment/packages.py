"""Packages that only exports or ONNX detection need: a missing one gives one line."""

import importlib
from types import ModuleType

from harness.errors import InputError


def need(package: str, extra: str) -> ModuleType:
    """Import and return a package of an extra of this project.

    Raises:
        InputError: it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package.partition(".")[0]:
            raise
        raise InputError(f"{error.name} is not installed: pip install '.[{extra}]'") from error
