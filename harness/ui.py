"""``python -m harness.ui``: serves the MLflow pages of all studies, on this machine only."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from harness import cli
from harness.core.numbers import integer
from harness.core.processes import guarded
from harness.core.secrets import mask_text
from harness.errors import HarnessError, InputError
from harness.tracking.address import check_uri, default_uri, is_server, page_root
from harness.tracking.view import view_route

HOST = "127.0.0.1"
DEFAULT_PORT = 5000
START_SECONDS = 120

EXAMPLES = """Serves MLflow on 127.0.0.1 and prints one address per study, until Ctrl-C.

examples:
  python -m harness.ui
  python -m harness.ui --port 5001 --tracking-uri sqlite:///elsewhere.db"""
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    # Jobs are for LLM evaluation only, and start several processes.
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = cli.Parser("harness.ui", "Show the tracked studies in MLflow's pages, on this machine only.", EXAMPLES)
    cli.add_address(parser, "--tracking-uri", "tracking database (default: RUNS/mlflow.db)")
    parser.add_argument(
        "--port", type=integer, metavar="N", help=f"port (default: {DEFAULT_PORT}, or a free one if that is taken)"
    )
    cli.add(parser, "--runs", "--json")
    options = parser.parse_args(argv)
    store = _store(options.runs, options.tracking_uri)
    port = _port(options.port)
    with _server(store, port) as (process, log):
        try:
            _show(_wait_for(process, log, port, store), port, options.json)
            process.wait()
        except KeyboardInterrupt:
            return 0
    raise HarnessError(f"the MLflow server ended unexpectedly ({_last_line(log, store)})")


def _store(runs: Path, uri: str | None) -> str:
    if uri is None and not (runs / "mlflow.db").is_file():
        raise InputError(f"{runs / 'mlflow.db'} does not exist: no study was tracked there yet; run `make study` first")
    store = check_uri(uri or default_uri(runs))
    if is_server(store):
        raise InputError(f"{page_root(store)} is an MLflow server already: open that address in a browser")
    return store


def _port(wanted: int | None) -> int:
    """Return the port to serve on: the given one, else MLflow's default, else any free one."""
    if wanted is not None and not 0 < wanted < 65536:
        raise InputError(f"--port must lie between 1 and 65535, got {wanted}")
    for port in (DEFAULT_PORT, 0) if wanted is None else (wanted,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise InputError(f"--port {wanted} cannot be used (taken, or reserved): give another, or leave it out")


@contextmanager
def _server(store: str, port: int) -> Iterator[tuple[subprocess.Popen[bytes], IO[bytes]]]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            guarded(command),
            stdin=subprocess.PIPE,  # Closed when this process ends, however it ends; then the server ends too.
            # Not as an argument: every user can read a process's arguments, and the address may hold a password.
            env={**os.environ, **_ENVIRONMENT, "MLFLOW_BACKEND_STORE_URI": store},
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        try:
            yield process, log
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server and all processes that it started."""
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, signal_number)
            process.wait(5)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue


def _wait_for(process: subprocess.Popen[bytes], log: IO[bytes], port: int, store: str) -> list[dict[str, Any]]:
    """Return the experiments, newest first, as soon as the server answers."""
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return _experiments(port)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)
    raise HarnessError(f"the MLflow server did not start ({_last_line(log, store)})")


def _experiments(port: int) -> list[dict[str, Any]]:
    request = urllib.request.Request(
        f"http://{HOST}:{port}/api/2.0/mlflow/experiments/search",
        data=json.dumps({"max_results": 100, "order_by": ["last_update_time DESC"]}).encode(),
        headers={"Content-Type": "application/json"},
    )
    # Without a proxy, because the address is this machine's own.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        found: list[dict[str, Any]] = json.load(answer).get("experiments", [])
    return [experiment for experiment in found if experiment["name"] != "Default"]


def _show(experiments: list[dict[str, Any]], port: int, as_json: bool) -> None:
    base = f"http://{HOST}:{port}"
    pages = {e["name"]: f"{base}/{view_route(e['experiment_id'])}" for e in experiments}
    if as_json:
        cli.emit({"url": base, "experiments": pages})
    else:
        print(f"MLflow is served at {base} (Ctrl-C to stop). Pages that compare a study's trials:")
        for name, page in pages.items():
            print(f"  {name}: {page}")
    sys.stdout.flush()


def _last_line(log: IO[bytes], store: str) -> str:
    log.seek(0)
    lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return mask_text(lines[-1], store) if lines else "it printed nothing"


if __name__ == "__main__":
    cli.run(main)
