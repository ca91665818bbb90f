"""What all tests share: threads and seed, copies of real data, and how many processes run them."""

import os
from pathlib import Path

import pytest

THREADS = int(os.environ.get("HARNESS_TEST_THREADS", "1"))
"""Of PyTorch: the tensors are small, and more threads than free cores are ruinous."""
os.environ["OMP_NUM_THREADS"] = str(THREADS)  # Read when PyTorch loads, here and in every process that a test starts.

import torch  # noqa: E402

from harness.core.machine import available_cores  # noqa: E402

torch.set_num_threads(THREADS)

_REAL = {"widerface_root", "published_weights"}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return what ``-n auto`` means: a process per core, no more than pay for loading PyTorch in each."""
    return min(available_cores(), 8)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that read real data, so that ``-m "not real"`` leaves them out."""
    for item in items:
        if isinstance(item, pytest.Function) and _REAL & set(item.fixturenames):
            item.add_marker(pytest.mark.real)


@pytest.fixture(scope="session")
def widerface_root() -> Path:
    """The copy of WIDER FACE that the environment names."""
    return _named("WIDERFACE_ROOT", "a copy of WIDER FACE")


@pytest.fixture(scope="session")
def published_weights() -> Path:
    """The folder of published FeatherFace weights that the environment names."""
    return _named("FEATHERFACE_WEIGHTS", "a folder of published weights")


def _named(variable: str, what: str) -> Path:
    if not os.environ.get(variable):
        pytest.skip(f"{variable} does not name {what}")
    return Path(os.environ[variable])
