"""SIGTERM while a training holds it back; how trainings answer it is tested in ``tests/training/test_loop.py``."""

import signal
import threading
from collections.abc import Iterator

import pytest

from harness.core.preemption import Notice


@pytest.fixture(autouse=True)
def _raising() -> Iterator[None]:
    def ends(*_: object) -> None:
        raise SystemExit(7)

    before = signal.signal(signal.SIGTERM, ends)
    yield
    assert signal.getsignal(signal.SIGTERM) is ends
    signal.signal(signal.SIGTERM, before)


def test_the_signal_takes_effect_at_the_end_of_the_block() -> None:
    done: list[str] = []

    def step() -> None:
        with Notice(pytest.fail) as notice:
            signal.raise_signal(signal.SIGTERM)
            assert notice.given
            done.append("the rest of the step")

    with pytest.raises(SystemExit):
        step()
    assert done == ["the rest of the step"]


@pytest.mark.parametrize("before", [True, False])
def test_at_once_saves_and_leaves(before: bool) -> None:
    done: list[str] = []

    def evaluate() -> None:
        with Notice(lambda: done.append("checkpoint")) as notice:
            if before:
                signal.raise_signal(signal.SIGTERM)
            with notice.at_once():
                signal.raise_signal(signal.SIGTERM)
                done.append("never")

    with pytest.raises(SystemExit):
        evaluate()
    assert done == ["checkpoint"]


def test_without_a_signal_nothing_happens() -> None:
    with Notice(pytest.fail) as notice, notice.at_once():
        pass
    assert not notice.given


def test_an_error_in_the_block_does_not_swallow_the_signal() -> None:
    def fail() -> None:
        with Notice(pytest.fail):
            signal.raise_signal(signal.SIGTERM)
            raise ZeroDivisionError

    with pytest.raises(SystemExit):
        fail()


def test_another_thread_holds_nothing_back() -> None:
    found: list[object] = []

    def work() -> None:
        with Notice(pytest.fail):
            found.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGTERM)]
