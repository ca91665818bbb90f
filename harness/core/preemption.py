"""``Notice``: SIGTERM, which announces that a machine is taken away, is answered with a checkpoint within seconds."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Self


class Notice:
    """Holds SIGTERM back in a ``with`` block, until ``leave`` or the block's end; then it has its usual effect.

    Outside a process's main thread, and where SIGTERM is ignored, nothing is held back.

    Args:
        save: writes a checkpoint; called by ``at_once``.

    Attributes:
        given: whether the signal has come.
    """

    def __init__(self, save: Callable[[], None]) -> None:
        self.given = False
        self._save = save
        self._at_once = False
        self._before: Callable[[int, FrameType | None], object] | int | None = None

    def __enter__(self) -> Self:
        usual = signal.getsignal(signal.SIGTERM)
        if threading.current_thread() is threading.main_thread() and usual != signal.SIG_IGN:
            self._before = usual
            signal.signal(signal.SIGTERM, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        if self.given:
            self.leave()
        elif self._before is not None:
            signal.signal(signal.SIGTERM, self._before)

    def leave(self) -> None:
        """Let the signal have its usual effect: it ends this process, or raises what the command's handler raises."""
        self.given = False
        signal.signal(signal.SIGTERM, self._before)
        signal.raise_signal(signal.SIGTERM)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """In a ``with`` block that does not change what is saved, save and leave when the signal comes, not later."""
        self._at_once = True
        try:
            if self.given:
                self._save_and_leave()
            yield
        finally:
            self._at_once = False

    def _take(self, *_: object) -> None:
        self.given = True
        if self._at_once:
            self._save_and_leave()

    def _save_and_leave(self) -> None:
        self._at_once = False  # A second signal changes nothing.
        self._save()
        self.leave()
