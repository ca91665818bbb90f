"""The parts of the reference that are written from the code whenever the pages are built, so that they cannot drift.

A page names such a part by a comment: ``<!-- generated: commands -->``.
"""

import contextlib
import importlib
import inspect
import io
import os
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from unittest import mock

import harness
from harness.__main__ import COMMANDS
from harness.core.arch import ARCHS
from harness.core.names import load_space, load_study, space_names, study_names
from harness.core.protocol import PRUNERS, SAMPLERS
from harness.data.__main__ import ACTIONS
from harness.models.wiring import REGISTRIES

PLACE = re.compile(r"<!-- generated: (\w+) -->")

COLUMNS = 100
"""Width of a command's help, characters."""

RELATED = (
    "harness.core.arch.Part",
    "harness.core.arch.part",
    "harness.core.space.Choice",
    "harness.core.space.IntRange",
    "harness.core.space.When",
    "harness.core.budget.Measure",
    "harness.core.ablation.Ablation",
    "harness.core.ablation.Arm",
    "harness.core.ablation.Difference",
    "harness.core.data.DataConfig",
    "harness.core.training.TrainConfig",
    "harness.core.training.DistillConfig",
    "harness.core.training.SharingConfig",
    "harness.core.evaluation.EvalConfig",
    "harness.core.evaluation.SpeedConfig",
    "harness.deployment.model.Model",
    "harness.deployment.model.Faces",
    "harness.deployment.config.ExportConfig",
    "harness.evaluation.run.Evaluation",
    "harness.evaluation.ap.APResult",
    "harness.models.detector.Detector",
    "harness.models.detector.RawOutput",
    "harness.models.modules.part.Component",
    "harness.models.modules.part.Option",
    "harness.models.modules.part.Cost",
    "harness.models.modules.part.Misfit",
)
"""What the names of ``import harness`` take or return, and what a new part consists of."""


def fill(page: str) -> str:
    """Return a page's Markdown with every generated part in its place.

    Raises:
        KeyError: the page names a part that there is not.
    """
    return PLACE.sub(lambda found: PARTS[found[1]](), page)


def targets() -> str:
    """Return what ``make help`` prints."""
    lines = (Path(__file__).parent.parent / "Makefile").read_text(encoding="utf-8").splitlines()
    return "\n".join(["```text", *(line.removeprefix("# ") for line in lines if line.startswith("# make ")), "```"])


def commands() -> str:
    """Return a section with the help of each command, and of the actions of ``harness.data``."""
    sections = []
    for name, what in COMMANDS.items():
        module = importlib.import_module("harness.data.__main__" if name == "data" else f"harness.{name}")
        actions = [[action] for action in ACTIONS] if name == "data" else []
        sections.append(f"## {name}\n\n{what[0].upper()}{what[1:]}.\n")
        sections += [f"```text\n{_help(module.main, words)}```\n" for words in ([], *actions)]
    return "\n".join(sections)


def _help(main: Callable[[list[str]], int], words: list[str]) -> str:
    told = io.StringIO()
    # Help texts show defaults from the environment. Pages must not show addresses of the machine that builds them.
    fixed = {"COLUMNS": str(COLUMNS), "HARNESS_STORAGE": "", "HARNESS_TRACKING_URI": ""}
    with mock.patch.dict(os.environ, fixed), contextlib.redirect_stdout(told), contextlib.suppress(SystemExit):
        main([*words, "--help"])
    return told.getvalue()


def names() -> str:
    """Return the documentation of every name of ``import harness``, from docstrings."""
    return _documented(f"harness.{name}" for name in sorted(vars(harness)["_HOMES"], key=str.lower))


def related() -> str:
    """Return the documentation of ``RELATED``, from docstrings."""
    return _documented(RELATED)


def _documented(paths: Iterable[str]) -> str:
    lines = []
    for path in paths:
        module, _, name = path.rpartition(".")
        found = getattr(importlib.import_module(module), name)
        kind = "autoclass" if inspect.isclass(found) else "autofunction"
        lines += [f".. {kind}:: {path}", *(["   :members:"] if kind == "autoclass" else []), ""]
    return "\n".join(["```{eval-rst}", *lines, "```"])


def archs() -> str:
    """Return a table of the named architectures."""
    rows = [(f"`{name}`", f"{harness.count(name)['total']:,}") for name in ARCHS]
    return _table(("name", "parameters"), rows)


def parts() -> str:
    """Return a table of each registry's parts, and the options of each part."""
    sections = []
    for registry in dict.fromkeys(REGISTRIES.values()):
        rows = [
            (
                f"`{entry.name}`",
                entry.description,
                "; ".join(f"`{option.name}`: {option.meaning} ({option.accepted()})" for option in entry.item.options),
                entry.source,
            )
            for entry in registry
        ]
        sections.append(f"## {registry.kind}\n\n{_table(('name', 'what it is', 'options', 'source'), rows)}")
    return "\n\n".join(sections)


def spaces() -> str:
    """Return a table of all search spaces."""
    found = [load_space(name) for name in space_names()]
    rows = [(f"`{space.name}`", space.description, f"{space.size():,}", str(len(space.axes))) for space in found]
    return _table(("name", "what varies", "configurations", "axes"), rows)


def studies() -> str:
    """Return a table of all studies."""
    found = [load_study(name) for name in study_names()]
    rows = [
        (f"`{study.name}`", study.description, f"`{study.space}`", f"{study.trials:,}", f"{study.train.epochs:,}")
        for study in found
    ]
    return _table(("name", "what it is for", "space", "candidates", "epochs"), rows)


def choices() -> str:
    """Return a table of samplers and one of pruners."""
    tables = {"sampler": SAMPLERS, "pruner": PRUNERS}
    return "\n\n".join(
        _table((kind, "what it does"), [(f"`{name}`", text) for name, text in known.items()])
        for kind, known in tables.items()
    )


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [heads, tuple(":---" for _ in heads), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


PARTS: dict[str, Callable[[], str]] = {
    part.__name__: part for part in (targets, commands, names, related, archs, parts, spaces, studies, choices)
}
"""Name in a page's comment → what writes the part."""
