"""``build`` makes a ``Detector`` from an ``ArchConfig``; it first checks the budget, if one is given."""

from harness.core.arch import ARCHS, ArchConfig
from harness.core.budget import Budget
from harness.errors import unknown_name
from harness.models.costs import check_budget
from harness.models.detector import Detector
from harness.models.wiring import REGISTRIES, assemble, resolve

__all__ = ["build", "registries", "resolve_arch", "validate"]

registries = REGISTRIES
"""Slot → the registry of its parts."""


def resolve_arch(name: str) -> ArchConfig:
    """Return the architecture called ``name``.

    Raises:
        InputError: the name is unknown or a path; the message lists the known names.
    """
    if name not in ARCHS:
        raise unknown_name("arch", name, ARCHS)
    return ARCHS[name]


def validate(arch: ArchConfig) -> None:
    """Raise an error if an architecture cannot be built. No tensor is created.

    Raises:
        InputError: a name or option is unknown, missing or not accepted, or does not fit its input channels.
    """
    resolve(arch)


def build(arch: ArchConfig | str, budget: Budget | None = None) -> Detector:
    """Build the detector, with fresh random weights from torch's global generator.

    >>> import harness
    >>> detector = harness.build("v2")
    >>> sum(parameter.numel() for parameter in detector.parameters())
    256156

    Args:
        arch: an architecture or its name: ``v1``, ``v2``, ….
        budget: bounds that it must keep.

    Raises:
        InputError: as ``validate`` and ``resolve_arch``.
        BudgetError: the architecture is over the budget; no tensor was created.
    """
    if isinstance(arch, str):
        arch = resolve_arch(arch)
    if budget is not None:
        check_budget(arch, budget)
    return assemble(arch)
