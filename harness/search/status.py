"""``status``: how far a study is, read from its folder and its storage, running or not. Nothing is changed."""

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.core.manifest import FILE, Manifest
from harness.core.record import load_records
from harness.core.scores import load_scores
from harness.errors import InputError, unknown_name
from harness.search.progress import Board, Running
from harness.search.shortlist import unlisted
from harness.search.storage import running_process
from harness.search.tally import Tally
from harness.search.timing import seconds_left


@dataclass(frozen=True)
class Status:
    """The standing of a study.

    Attributes:
        state: ``running``, ``ended``, ``interrupted``, or ``preparing`` before its first training.
        by: process and host that run it, in words; empty if none does.
        board: its trainings; where candidates are scored first, ``scored`` of ``candidates`` have a score.
        report: the report's path; empty before there is one.
    """

    state: str
    by: str
    board: Board
    scored: int = 0
    candidates: int = 0
    report: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        board, best = self.board, self.board.best
        return {
            "name": board.name,
            "state": self.state,
            "running_by": self.by or None,
            "trials": {**board.states, "wanted": board.wanted},
            "scored": {"done": self.scored, "wanted": self.candidates},
            "best": None if best is None else dict(zip(("label", "search_ap", "params"), best, strict=True)),
            "running": [asdict(one) for one in board.running.values()],
            "ended": [asdict(one) for one in board.ended],
            "seconds_left": board.seconds_left,
            "report": self.report or None,
        }

    def summary(self) -> str:
        """Return the standing in one line."""
        said = f"{self.board.name}: {self.state}{f' ({self.by})' if self.by else ''}"
        if self.state == "preparing":
            return f"{said}: images, latencies and the teacher come before its first training"
        scored = f"{self.scored:,} of {self.candidates:,} candidates scored · " if self.candidates else ""
        return f"{said} · {scored}{self.board.summary()}"


def status(name: str, runs: Path, storage: str | None) -> Status:
    """Return the standing of a study.

    Args:
        name: the study's name.
        runs: folder of studies.
        storage: URL of its database; None is the one in its folder.

    Raises:
        InputError: there is no such study in ``runs``, or the database does not hold it.
        DataError: a file of the study is damaged.
    """
    folder = runs / name
    known = sorted(path.parent.name for path in runs.glob("*/lock"))
    if not known:
        raise InputError(f"{runs} holds no study: give the folder of one with --runs")
    if name not in known:
        raise unknown_name(f"study in {runs}:", name, dict.fromkeys(known))
    if not (folder / FILE).exists():
        return Status("preparing", "", Board(name))
    manifest, records = Manifest.load(folder), [r for r in load_records(folder) if r.role != "teacher"]
    config, standing = manifest.config, manifest.standing
    owner = running_process(storage or _own_storage(folder), name)
    scores = load_scores(folder, mend=False)
    candidates = 0 if config.sharing is None else config.trials
    board = Board(
        name,
        0 if config.ablation else manifest.space.feasible,
        0 if config.ablation else manifest.space.size,
        standing.trials["wanted"],
        unit="trials" if config.ablation is None else "trainings",
    )
    tally = Tally(records)
    tally.fill(board, ablation=config.ablation is not None)
    under_way = [record for record in records if record.state == "running"]
    for one in under_way if owner else ():
        aps = [epoch["ap"]["mean"] for epoch in one.epochs if epoch["ap"].get("mean") is not None]
        epochs = int(one.train.get("epochs", config.train.epochs))
        board.running[one.label] = Running(one.label, one.params, epochs, len(one.epochs), aps[-1] if aps else None)
    report = folder / "report" / "report.md"
    if owner:
        unscored = max(0, candidates - len(scores))
        looks = unlisted(config, folder)
        board.seconds_left = seconds_left(
            tally, standing.trainings, config.train.epochs, scores.values(), unscored, looks, manifest.workers
        )
    ended = not under_way and len(records) >= standing.trainings and report.exists()
    return Status(
        "running" if owner else "ended" if ended else "interrupted",
        f"process {owner['process']} on {owner['host']}, since {_when(manifest.started)}" if owner else "",
        board,
        len(scores),
        candidates,
        str(report) if report.exists() else "",
    )


def _own_storage(folder: Path) -> str:
    path = folder / "study.db"
    if not path.exists():
        raise InputError(f"{path} does not exist: give the --storage with which the study was started")
    return f"sqlite:///{path.absolute()}"


def _when(started: str) -> str:
    return datetime.fromisoformat(started).astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
