"""``Meter``: where the time of a search goes, by what the harness does."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from harness.core.record import TrialRecord
from harness.search import loop
from harness.search.loop import Search
from harness.search.plan import Plan
from harness.search.pruning import Judge, Rules
from harness.search.session import Session
from harness.search.storage import Ledger
from harness.search.trials import Trials
from harness.tracking.sender import Sender
from harness.tracking.tracker import MLflowTracker

SEARCH, SENDER, REST = "search", "MLflow", "rest"
"""The whole search; the thread that sends to MLflow; what no other name has."""

WAIT, CONNECT = "wait", "connect"
"""Waiting for workers; loading MLflow and making its tables, once. Neither is a part of a trial's cost."""

PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "propose": ((Trials, "propose"),),
    "storage": tuple((Ledger, name) for name in ("add", "report", "tell", "trials")),
    "pruning": ((Rules, "rule"), (Judge, "stops")),
    "records": ((TrialRecord, "save"),),
    "study.json": ((Session, "write"),),
    "describe": ((Plan, "candidate"), (Plan, "job"), (loop, "fingerprint")),
    "progress": ((Search, "_show"),),
    "hand over": ((MLflowTracker, "trial"),),
    SENDER: ((Sender, "send"),),
    CONNECT: ((Sender, "_connected"),),
    SEARCH: ((Search, "run"),),
}
"""Name → the functions whose time it is, without that of others that they call."""


class Meter:
    """Adds up seconds by name.

    Attributes:
        seconds: name → seconds so far; ``processor``: name → those in which the thread computed.
        sending: whether the tracker's thread sends.
    """

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.processor: Counter[str] = Counter()
        self.sending = False
        self._inside = threading.local()

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function whose time is added to a name, except that of timed functions which it calls."""

        @wraps(function)
        def measured(*given: Any, **named: Any) -> Any:
            outer = getattr(self._inside, "spent", (0.0, 0.0))
            self._inside.spent, begun = (0.0, 0.0), (time.perf_counter(), time.thread_time())
            self.sending |= name == SENDER
            try:
                return function(*given, **named)
            finally:
                taken = time.perf_counter() - begun[0], time.thread_time() - begun[1]
                self.seconds[name] += taken[0] - self._inside.spent[0]
                self.processor[name] += taken[1] - self._inside.spent[1]
                self._inside.spent = outer[0] + taken[0], outer[1] + taken[1]
                self.sending &= name != SENDER

        return measured

    @contextmanager
    def measuring(self, wait: Callable[..., Any]) -> Iterator[None]:
        """Time the harness's functions meanwhile.

        Args:
            wait: a class with ``wait``, whose time is nobody's.
        """
        with ExitStack() as stack:
            for name, functions in {**PARTS, WAIT: ((wait, "wait"),)}.items():
                for owner, attribute in functions:
                    stack.enter_context(patch.object(owner, attribute, self.timed(name, getattr(owner, attribute))))
            yield
