"""A Ray cluster: which one, how much of it a trial takes, and what each of its nodes must have.

Whoever reaches Ray's ports may run code on its nodes. A cluster that is started here listens on loopback only, and asks
for a token; others are for trusted networks (``docs/howto/cluster.md``).
"""

import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.core.machine import available_cores
from harness.core.provenance import Provenance, provenance
from harness.deployment.packages import need
from harness.errors import InputError

MARK = "cluster.mark"
"""File in a study's folder by which a node tells that it sees the same folder as the searching process."""

_PARTS = 10_000
"""Ray counts parts of a GPU in ten-thousandths."""

_PATIENCE = 5.0
"""Seconds to wait for a cluster's head."""


@dataclass(frozen=True)
class Cluster:
    """The Ray cluster that runs the trials, and what each of them takes of it.

    Attributes:
        address: ``HOST:PORT`` of its head; None: the one in ``RAY_ADDRESS``, or one that is started on this machine.
        cpus: CPU cores reserved for a trial; None: one for each of its threads.
        gpus: share of a GPU reserved for a trial; None: all of one if it trains on CUDA.
    """

    address: str | None = None
    cpus: int | None = None
    gpus: float | None = None

    def share(self, threads: int | None, device: str) -> tuple["Share", int]:
        """Return what a trial takes, and its number of threads.

        Raises:
            InputError: the options do not fit the threads or the device.
        """
        cuda = device.startswith("cuda")
        if device.startswith("cuda:"):
            raise InputError(f"--device {device}: Ray chooses the GPU of each trial; give --device cuda")
        if self.cpus is not None and self.cpus < 1:
            raise InputError(f"--cpus-per-trial must be at least 1, got {self.cpus}")
        if self.gpus is not None and not cuda:
            raise InputError("--gpus-per-trial needs --device cuda, also on the machine that searches")
        if self.gpus is not None and not 1 / _PARTS <= self.gpus <= 1:
            raise InputError(f"--gpus-per-trial lies in {1 / _PARTS} … 1, since a trial uses one GPU; got {self.gpus}")
        cpus = self.cpus or threads or 1
        if threads is not None and threads > cpus:
            raise InputError(
                f"{threads} threads need as many cores, and --cpus-per-trial is {cpus}: more threads than cores train "
                "several times slower; lower --threads"
            )
        return Share(cpus, self.gpus or float(cuda)), threads or (cpus if cuda else 1)


@dataclass(frozen=True)
class Share:
    """What Ray reserves for a trial: CPU cores, and a part of one GPU."""

    cpus: int
    gpus: float

    def room(self) -> int:
        """Return how many trials there is room for on the nodes of the cluster that this process has joined.

        Raises:
            InputError: there is none for a single one.
        """
        found = [node["Resources"] for node in need_ray().nodes() if node["Alive"]]
        total = sum(self.fits(node.get("CPU", 0), node.get("GPU", 0)) for node in found)
        if not total:
            nodes = "; ".join(f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in found)
            raise InputError(
                f"no node of the cluster has {self.cpus} CPUs and {self.gpus:g} GPUs for a trial (there are {nodes}): "
                "lower --cpus-per-trial or --gpus-per-trial; if the cluster grows on demand, give --workers"
            )
        return total

    def fits(self, cpus: float, gpus: float) -> int:
        """Return how many trials a node has room for."""
        by_cpu = int(cpus // self.cpus)
        return min(by_cpu, int(gpus) * (_PARTS // round(self.gpus * _PARTS))) if self.gpus else by_cpu


def need_ray() -> Any:
    """Import and return Ray.

    Raises:
        InputError: it is not installed.
    """
    return need("ray", "pip install '.[ray]' on every machine of the cluster")


@contextmanager
def joined(cluster: Cluster) -> Iterator[None]:
    """Be part of a Ray cluster, which is started on this machine if no address is given.

    Raises:
        InputError: Ray is not installed, or there is no cluster at the address that this process can join.
    """
    address = cluster.address or os.environ.get("RAY_ADDRESS")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if address is None:
        # Without the first, Ray listens on all interfaces; it is read when Ray is imported.
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        started = {"num_cpus": available_cores(), "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    else:
        _require_answer(address)
        started = {}
    ray = need_ray()
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address or "local", logging_level="ERROR", log_to_driver=False, **started)
    except Exception as error:  # Ray raises errors of many kinds, some of them plain.
        ray.shutdown()
        reason = " ".join(str(error).split())
        raise InputError(f"no Ray cluster can be joined at {address or 'this machine'}: {reason}") from error
    finally:
        signal.signal(signal.SIGTERM, before)  # Ray sets its own.
    try:
        with redirect_stdout(sys.stderr):  # Ray prints there what its nodes report.
            yield
    finally:
        ray.shutdown()


def _require_answer(address: str) -> None:
    """Refuse an address where nothing listens; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not (port.isascii() and port.isdigit()):
        raise InputError(
            f"--address is HOST:PORT of the cluster's head, as 'ray start' prints it (default: RAY_ADDRESS), got "
            f"'{address}'"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise InputError(f"--address: no Ray cluster answers at {address} ({error}): start one there") from error


@dataclass(frozen=True)
class Site:
    """What a node must have, so that it trains as the searching process would.

    Attributes:
        place: working folder of the searching process; relative paths start there.
        folder: the study's folder.
        mark: content of the file ``MARK`` in it.
        made: provenance of what the searching process trains.
        side: side of a network's input in training, pixels; the precision depends on it.
    """

    place: Path
    folder: Path
    mark: str
    made: Provenance
    side: int

    def refusal(self) -> str:
        """Move this process to ``place``, and return why its node cannot train for the study; empty if it can."""
        try:
            os.chdir(self.place)
            found = (self.folder / MARK).read_text(encoding="utf-8")
        except OSError:
            found = ""
        if found != self.mark:
            return (
                f"does not see {self.place / self.folder}: the folder of the command and --runs must be shared by all "
                "nodes, under the same paths"
            )
        here, wanted = provenance(), self.made.versions
        differ = [f"{name} {v}, not {wanted.get(name)}" for name, v in here.versions.items() if v != wanted.get(name)]
        if differ:
            return f"has {'; '.join(differ)}: all nodes need the versions of the searching process"
        return self._precision(here)

    def _precision(self, here: Provenance) -> str:
        wanted, cpu = self.made.machine, here.machine["cpu"]
        if wanted["device"] != "cpu" or wanted["cpu"] == cpu:
            return ""
        import torch  # A node of the same kind does without it in this process.

        from harness.models.device import precision

        found = precision(torch.device("cpu"), self.side)
        if found == wanted["precision"]:
            return ""
        return f"computes in {found} ({cpu}), the study in {wanted['precision']}: take nodes of one kind"
