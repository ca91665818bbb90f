"""Loads spaces and studies by name: modules of ``search_spaces`` and ``studies``, imported on demand."""

import importlib
import pkgutil

from harness.core.protocol import StudyConfig
from harness.core.space import SearchSpace
from harness.errors import unknown_name


def _names(package: str) -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__))


def space_names() -> list[str]:
    """Return the names of all search spaces."""
    return _names("search_spaces")


def study_names() -> list[str]:
    """Return the names of all studies."""
    return _names("studies")


def load_space(name: str) -> SearchSpace:
    """Return ``search_spaces/<name>.py``'s ``SPACE``.

    Raises:
        InputError: there is no such space, or ``name`` is a path; the message lists the names.
    """
    if name not in space_names():
        raise unknown_name("space", name, space_names())
    space: SearchSpace = importlib.import_module(f"search_spaces.{name}").SPACE
    return space


def load_study(name: str) -> StudyConfig:
    """Return ``studies/<name>.py``'s ``STUDY``.

    Raises:
        InputError: there is no such study, or ``name`` is a path; the message lists the names.
    """
    if name not in study_names():
        raise unknown_name("study", name, study_names())
    study: StudyConfig = importlib.import_module(f"studies.{name}").STUDY
    return study
