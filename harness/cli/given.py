"""What the options of a study mean: its protocol, its name, and the hardware, files and addresses that it uses."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.options import DATA, chosen
from harness.core.names import load_study, own_files
from harness.core.protocol import StudyConfig
from harness.core.secrets import mask_command
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.search.resources import Resources


def protocol(given: argparse.Namespace, synthetic: str, folder: str) -> tuple[str, StudyConfig, str]:
    """Return the study protocol that the arguments describe: its name, its configuration, and its data in a word.

    Args:
        given: the arguments, with ``study``, ``epochs``, ``data`` and the options of ``DATA``.
        synthetic, folder: names of the studies that are meant without ``--study``, for each kind of ``--data``.

    Raises:
        InputError: the study is unknown, or its data folder is missing.
    """
    path = None if given.data in (None, "synthetic") else Path(given.data)
    if path is not None and not path.is_dir():
        raise InputError(f"--data: there is no folder {path}; give 'synthetic' or the folder of a WIDER FACE copy")
    name = given.study or (synthetic if path is None else folder)
    study = load_study(name)
    if given.data is None and study.data.source != "synthetic":
        raise InputError(f"study '{name}' trains on WIDER FACE images: give the folder of a copy with --data")
    changed = replace(
        study,
        data=replace(study.data, **chosen(given, *DATA, source="data")),
        train=replace(study.train, **chosen(given, "epochs")),
    )
    return name, changed, "synthetic" if path is None else path.resolve().name


def study_name(*words: str) -> str:
    """Return the words joined to a study's name, each once, so that different studies do not share a folder."""
    safe = ("".join(c if c.isascii() and (c.isalnum() or c in "_-") else "_" for c in word) for word in words)
    return "-".join(dict.fromkeys(safe))


def device(name: str) -> str:
    """Return the device that ``--device`` names: ``auto`` is ``cuda`` where there is one, else ``cpu``."""
    if name != "auto":
        return name
    from harness.models.device import automatic  # Takes seconds to load, and most refusals come earlier.

    return automatic()


def resources(given: argparse.Namespace, module: str, argv: Sequence[str] | None, space: str) -> "Resources":
    """Return the hardware, files and addresses that the arguments name, and the command that repeats the call.

    Args:
        given: the arguments; those with the name of a field of ``Resources`` give its value.
        module: the entry point, such as ``harness.study``.
        argv: its arguments; None for those of this process.
        space: name of the study's space; files of the user that define it, or the study, go into the study's folder.
    """
    from harness.search.resources import Resources  # Takes seconds to load, and most refusals come earlier.

    named = {field.name for field in fields(Resources)} & vars(given).keys()
    words = ["python", "-m", module, *(sys.argv[1:] if argv is None else argv)]
    files = own_files(space, given.study or "")
    own = {"device": device(given.device), "command": mask_command(words), "files": files}
    return Resources(**{name: getattr(given, name) for name in named} | own)
