"""Finds spaces and studies by name: modules of ``search_spaces`` and ``studies``, and files that a user names."""

import importlib
import pkgutil
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from harness.core.limits import check_name
from harness.core.protocol import StudyConfig
from harness.core.space import SearchSpace
from harness.errors import InputError, first_line, unknown_name

T = TypeVar("T", SearchSpace, StudyConfig)

_own_spaces: dict[str, tuple[SearchSpace, str]] = {}
_own_studies: dict[str, tuple[StudyConfig, str]] = {}
"""Name → what a file of the user defines, and the file's text."""


def _names(package: str, own: Mapping[str, object]) -> list[str]:
    found = pkgutil.iter_modules(importlib.import_module(package).__path__)
    return sorted({module.name for module in found} | set(own))


def space_names() -> list[str]:
    """Return the names of all search spaces."""
    return _names("search_spaces", _own_spaces)


def study_names() -> list[str]:
    """Return the names of all studies."""
    return _names("studies", _own_studies)


def load_space(name: str) -> SearchSpace:
    """Return ``search_spaces/<name>.py``'s ``SPACE``, or that of a file that was read.

    Raises:
        InputError: there is no such space, or ``name`` is a path; the message lists the names.
    """
    if name in _own_spaces:
        return _own_spaces[name][0]
    if name not in space_names():
        raise unknown_name("space", name, space_names())
    space: SearchSpace = importlib.import_module(f"search_spaces.{name}").SPACE
    return space


def load_study(name: str) -> StudyConfig:
    """Return ``studies/<name>.py``'s ``STUDY``, or that of a file that was read.

    Raises:
        InputError: there is no such study, or ``name`` is a path; the message lists the names.
    """
    if name in _own_studies:
        return _own_studies[name][0]
    if name not in study_names():
        raise unknown_name("study", name, study_names())
    study: StudyConfig = importlib.import_module(f"studies.{name}").STUDY
    return study


def read_space(path: str) -> str:
    """Run a Python file that defines ``SPACE``; return its name, by which this process finds it from now on.

    Raises:
        InputError: as ``_read``.
    """
    return _read(Path(path), "SPACE", SearchSpace, "search_spaces", _own_spaces)


def read_study(path: str) -> str:
    """Run a Python file that defines ``STUDY``; return its name, by which this process finds it from now on.

    Raises:
        InputError: as ``_read``.
    """
    return _read(Path(path), "STUDY", StudyConfig, "studies", _own_studies)


def add_space(space: SearchSpace) -> None:
    """Make a space known by its name in this process, so that a study can search it.

    Raises:
        InputError: its name is that of another space of this project, or no folder can have it.
    """
    _add(space, "", "the space", "search_spaces", _own_spaces)


def own_files(space: str, study: str) -> dict[str, str]:
    """Return file name → text of the user's files that a space and a study come from, for the study's folder."""
    found = {"space.py": _own_spaces.get(space), "study.py": _own_studies.get(study)}
    return {file: own[1] for file, own in found.items() if own is not None and own[1]}


def _read(path: Path, variable: str, kind: type[T], package: str, own: dict[str, tuple[T, str]]) -> str:
    """Read a file of the user into ``own``.

    Raises:
        InputError: the file is missing, fails, defines no ``variable`` of this ``kind``, or gives it a name that no
            folder can have or that ``package`` has already.
    """
    if path.suffix != ".py" or not path.is_file():
        raise InputError(f"there is no Python file {path}: give a file that ends in .py and defines {variable}")
    try:
        text = path.read_text(encoding="utf-8")
        found = runpy.run_path(str(path)).get(variable)
    except Exception as error:
        raise InputError(f"{path} cannot be run: {type(error).__name__}: {first_line(error)}") from error
    if not isinstance(found, kind):
        given = "nothing of that name" if found is None else f"a {type(found).__name__}"
        raise InputError(f"{path} must define {variable}, a {kind.__name__}; it defines {given}")
    _add(found, text, f"{path}: {variable}", package, own)
    return found.name


def _add(found: T, text: str, what: str, package: str, own: dict[str, tuple[T, str]]) -> None:
    check_name(found.name, f"{what}: its name")
    if found.name in _names(package, {}):
        raise InputError(f"{what}: {package} has a '{found.name}' already: choose another name")
    own[found.name] = (found, text)
