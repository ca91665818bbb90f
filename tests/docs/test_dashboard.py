"""Optuna's dashboard on a study's storage, by the command of the documentation."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from harness.search.status import status
from tests.toy import ROOT, Toy

PAGE = ROOT / "docs" / "howto" / "dashboard.md"
PATIENCE = 400.0


def ask(address: str) -> Any:
    """Return what a page of the dashboard says, when it is up."""
    ends = time.monotonic() + PATIENCE
    while time.monotonic() < ends:
        with suppress(OSError), urllib.request.urlopen(address, timeout=30) as answer:
            return json.load(answer)
        time.sleep(0.5)
    raise AssertionError(f"{address} does not answer")


@pytest.mark.server
@pytest.mark.slow
def test_the_dashboard_shows_a_study_and_changes_nothing(toy: Toy, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    found = re.search(r"^\.venv/bin/(optuna-dashboard .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert found
    words = shlex.split(found[1].replace("8080", port).replace("runs/first", str(toy.folder)))
    assert words[1:3] == ["--host", "127.0.0.1"]
    before = status(toy.folder.name, toy.runs, None).to_dict()
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name(words[0])), *words[1:]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(tmp_path)},
    )
    try:
        [summary] = ask(f"http://127.0.0.1:{port}/api/studies")["study_summaries"]
        assert summary["study_name"] == toy.folder.name
        trials = ask(f"http://127.0.0.1:{port}/api/studies/{summary['study_id']}?after=0")["trials"]
        assert len(trials) == len(list(toy.folder.glob("trials/0*"))) > 2
        assert {trial["state"] for trial in trials} <= {"Complete", "Pruned"}
    finally:
        server.terminate()
        server.wait(PATIENCE)
    assert status(toy.folder.name, toy.runs, None).to_dict() == before
