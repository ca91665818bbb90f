"""Which networks of a table are scored, and what the table says of them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from benchmarks.scores.data import Candidate, Scores
from harness.core.digest import digest
from harness.core.table import Network, Table
from harness.core.training import SharingConfig
from harness.errors import InputError


def chosen(table: Table, count: int, least: int) -> list[Network]:
    """Return the first networks of the table that fit the budget and have all their trainings.

    Args:
        table: the table.
        count: number of networks.
        least: smallest number of networks for which Kendall's τ is computed.

    Raises:
        InputError: there are fewer.
    """
    able = [one for one in table.networks if one.feasible and len(one.aps) == table.config.seeds]
    if len(able) < count:
        raise InputError(
            f"the table has {len(able)} networks within the budget with {table.config.seeds} complete trainings: "
            f"--candidates must be {least} … {len(able)}, got {count}"
            if len(able) >= least
            else f"the table has {len(able)} networks within the budget with {table.config.seeds} complete trainings, "
            f"and Kendall's τ needs at least {least}: continue the table with its command, {table.command}"
        )
    return able[:count]


def unmeasured(table: Table, networks: Sequence[Network], sharing: SharingConfig, *, quick: bool) -> Scores:
    """Return what the table says of the networks, before any score is measured."""
    seeds = sorted(networks[0].aps)
    found = {one.label: Candidate(one.params, one.macs, [one.aps[seed][-1] for seed in seeds]) for one in networks}
    config = table.config.to_dict()
    decides = {
        "quick": quick,
        "sharing": asdict(sharing),
        "training": table.training,
        "threads": table.threads,
        "images": table.images,
        "protocol": table.search_protocol["digest"],
        **{name: config[name] for name in ("data", "train", "teacher", "distill", "evaluation", "budget", "seed")},
        "networks": {one.label: {"arch": one.arch, "aps": found[one.label].aps} for one in networks},
    }
    return Scores(digest(decides), dict(facts(table)), seeds, found)


def spread(networks: Sequence[Network], count: int) -> list[str]:
    """Return the labels of networks from the fewest to the most MACs, evenly spread over that order."""
    ordered = [one.label for one in sorted(networks, key=lambda one: (one.macs, one.label))]
    places = np.linspace(0, len(ordered) - 1, min(count, len(ordered)))
    return [ordered[round(place)] for place in places.tolist()]


def facts(table: Table) -> Mapping[str, Any]:
    """Return what a report says of a table."""
    return {
        "space": table.space,
        "budget": str(table.budget),
        "networks": sum(network.feasible for network in table.networks),
        "complete": table.complete,
        "feasible": table.drawn["feasible"],
        "source": table.config.data.source,
        "size": table.config.data.size,
        "epochs": table.epochs,
        "images": dict(table.images),
        "search_protocol": dict(table.search_protocol),
        "teacher": table.teacher["digest"],
        "training": table.training,
        "threads": table.threads,
        "macs_size": table.config.speed.size,
        "commits": sorted({str(one.get("commit")) for one in table.provenance}),
        "command": table.command,
    }
