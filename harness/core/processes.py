"""Processes that end with the one that started them, also when that one is killed and can end nothing itself.

``python -m harness.core.processes COMMAND …`` runs a command until its standard input is closed, which the system does
when the process at the other end of that pipe ends.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading


def end_with_parent() -> None:
    """Let this process, which ``multiprocessing`` started, exit as soon as the one that started it has ended."""
    threading.Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def guarded(command: list[str]) -> list[str]:
    """Return a command line that runs ``command`` until its standard input, a pipe, is closed.

    Start it in a session of its own: its whole process group is killed then.
    """
    return [sys.executable, "-m", "harness.core.processes", *command]


def main() -> int:
    """Run the command in the arguments, and return its exit code."""
    signal.signal(signal.SIGTERM, lambda *_: None)  # The command receives it too, and may take a while to end.
    process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    threading.Thread(target=_kill_after_input, daemon=True).start()
    return process.wait()


def _kill_after_input() -> None:
    while os.read(0, 4_096):  # Not by sys.stdin, whose lock this thread would hold when the interpreter ends.
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
