"""A PostgreSQL server of a test's own, reached by a socket in its folder; killed and started again as a test wants."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

INITDB, POSTGRES = shutil.which("initdb"), shutil.which("postgres")
MISSING = "no PostgreSQL server found: apt-get install postgresql, with its bin folder in PATH"
PATIENCE = 60


@dataclass
class Postgres:
    """A server with an empty database; ``url`` is its address. Only a ``durable`` one would survive a power cut."""

    folder: Path
    user: str | None
    durable: bool = False
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://me@/postgres?host={self.folder}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        assert POSTGRES is not None
        command = [POSTGRES, "-D", str(self.folder / "data"), "-k", str(self.folder), "-c", "listen_addresses="]
        self.process = subprocess.Popen(
            [*command, "-c", f"fsync={'on' if self.durable else 'off'}"],
            user=self.user,
            stderr=subprocess.DEVNULL,
            cwd=self.folder,
            start_new_session=True,
        )
        deadline = time.monotonic() + PATIENCE
        while not any("ready" in line for line in self._state()):
            assert time.monotonic() < deadline, "PostgreSQL does not start"
            time.sleep(0.1)

    def _state(self) -> list[str]:
        path = self.folder / "data" / "postmaster.pid"
        return path.read_text().splitlines()[7:] if path.exists() else []

    def kill(self, number: signal.Signals = signal.SIGQUIT) -> None:
        """Let it crash, or with SIGINT end all connections and stop."""
        assert self.process is not None
        os.kill(self.process.pid, number)
        self.process.wait()


@contextmanager
def postgres(*, durable: bool = False) -> Iterator[Postgres]:
    """Run a server; as another user where this one is root, whom PostgreSQL refuses."""
    assert INITDB is not None
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # Not pytest's, whose path is too long for a socket, and private.
    if user:
        shutil.chown(folder, user)
    server = Postgres(folder, user, durable)
    try:
        subprocess.run(
            [INITDB, "-D", folder / "data", "--no-sync", "-U", "me", "-A", "trust"],
            user=user,
            cwd=folder,
            check=True,
            capture_output=True,
        )
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
        shutil.rmtree(folder)
