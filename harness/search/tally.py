"""``Tally``: sums over a study's records, kept up to date while the records change.

A search shows them at every event. Adding up all records each time would make a trial cost more, the more there are.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator

from harness.core.record import STATES, TrialRecord
from harness.search.progress import Board, Ended

SPENT = ("train", "evaluate", "speed", "total")
"""Entries of a record's ``seconds``."""


class Tally:
    """Sums over the records of all networks but the teacher.

    Args:
        records: those that there are.

    Attributes:
        running: label → record, of trainings that run or wait for a worker.
        ended: the others as the board shows them: complete ones first, then by search AP.
        epochs: of the ended trainings, without those that were read from another study.
        best: the candidate trained to the end with the highest mean AP on the search split; fewer parameters break a
            tie.
    """

    def __init__(self, records: Iterable[TrialRecord] = ()) -> None:
        self.running: dict[str, TrialRecord] = {}
        self.ended: list[Ended] = []
        self.epochs = 0
        self.best: TrialRecord | None = None
        self._known: dict[str, tuple[Ended, bool, int, dict[str, float]]] = {}
        self._states: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self._seconds = dict.fromkeys(SPENT, 0.0)
        for record in records:
            self.note(record)

    def __len__(self) -> int:
        return len(self.running) + len(self.ended)

    def note(self, record: TrialRecord) -> None:
        """Take in a record that is new or has changed. One that is ``running`` may change without."""
        if record.label in self._known:
            self._count(*self._known.pop(record.label), sign=-1)
        self.running.pop(record.label, None)
        if record.state == "running":
            self.running[record.label] = record
            return
        shown = Ended(
            record.label, record.role, record.state, record.params, record.search_ap.get("mean"), record.ap.get("mean")
        )
        own = not record.read_from
        spent = {name: record.seconds.get(name, 0.0) for name in SPENT} if own else {}
        self._known[record.label] = shown, record.number is not None, len(record.epochs) if own else 0, spent
        self._count(*self._known[record.label], sign=1)
        if record.role == "candidate" and record.state == "complete" and _mean(record) is not None:
            self.best = record if self.best is None else min(record, self.best, key=_rank)

    def _count(self, shown: Ended, numbered: bool, epochs: int, spent: dict[str, float], sign: int) -> None:
        self._states[numbered][shown.state] += sign
        self.epochs += sign * epochs
        for name, seconds in spent.items():
            self._seconds[name] += sign * seconds
        if sign > 0:
            insort(self.ended, shown, key=_place)
        else:
            del self.ended[bisect_left(self.ended, _place(shown), key=_place)]

    def states(self, *, candidates: bool) -> dict[str, int]:
        """Return state → number of records in it, of the candidates or of all networks."""
        found = Counter(self._states[True])
        found["running"] = sum(record.number is not None for record in self.running.values())
        if not candidates:
            found += self._states[False]
            found["running"] = len(self.running)
        return {state: found[state] for state in STATES}

    def fill(self, board: Board, *, ablation: bool) -> None:
        """Give a board the states, the ended trainings and the best candidate.

        Args:
            board: of the study.
            ablation: whether all networks count, and not only the candidates.
        """
        board.states = self.states(candidates=not ablation)
        board.wanted = len(self) if ablation else board.wanted
        if self.best is not None:
            board.best = (self.best.label, self.best.search_ap["mean"] or 0.0, self.best.params)
        board.ended = self.ended

    def seconds(self, name: str) -> float:
        """Return the sum of one of ``SPENT``, without trainings that were read from another study."""
        return self.spent(name) + sum(record.seconds.get(name, 0.0) for record in self.own())

    def spent(self, name: str) -> float:
        """Return that sum over the ended trainings."""
        return self._seconds[name]

    def own(self) -> Iterator[TrialRecord]:
        """Yield the running trainings that are not read from another study."""
        return (record for record in self.running.values() if not record.read_from)


def _mean(record: TrialRecord) -> float | None:
    return record.search_ap.get("mean")


def _rank(record: TrialRecord) -> tuple[float, int, str]:
    return -(_mean(record) or 0.0), record.params, record.label


def _place(one: Ended) -> tuple[bool, float, str]:
    return one.state != "complete", -(one.search_ap or 0.0), one.label
