"""Tracking URIs: which forms are accepted, checked before anything starts."""

import os
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

from harness.core.secrets import mask_text, mask_url
from harness.errors import InputError, first_line

ACCEPTED = "http(s)://HOST:PORT, sqlite:///PATH, postgresql://USER:PASSWORD@HOST/DATABASE, mysql://… or mssql://…"
_DATABASES = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
CONNECT_SECONDS = 10


def default_uri(runs: Path) -> str:
    """Return the address of the local store: one SQLite file in ``runs``."""
    return f"sqlite:///{runs.absolute() / 'mlflow.db'}"


def is_server(uri: str) -> bool:
    """Say whether ``uri`` is an MLflow server rather than a database that is opened directly."""
    return uri.startswith(("http://", "https://"))


def page_root(uri: str) -> str:
    """Return the address of an MLflow server's pages: ``uri`` without user name, password and query."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def check_uri(uri: str) -> str:
    """Return ``uri`` as MLflow takes it, with SQLite paths made absolute. No connection is opened.

    Raises:
        InputError: MLflow cannot use this address; the message lists the accepted forms.
    """
    scheme, separator, rest = uri.partition("://")
    scheme = scheme.lower()
    if not separator or re.search(r"\s", uri if scheme != "sqlite" else ""):
        raise _refused(uri, "not a tracking URI", _meant(uri))
    if scheme in ("http", "https"):
        return _check_server(uri)
    if scheme == "sqlite":
        return _check_sqlite(uri, rest)
    if scheme.partition("+")[0] in _DATABASES:
        return _check_database(uri)
    reason = "MLflow's file store is no longer supported" if scheme == "file" else f"unknown scheme '{scheme}'"
    raise _refused(uri, reason, _meant(uri))


def check_reachable(uri: str) -> None:
    """Open and close a connection to a database's host: a database driver alone may wait for minutes.

    Raises:
        OSError: the host does not answer.
    """
    parts = urlsplit(uri)
    port = _DATABASES.get(parts.scheme.partition("+")[0])
    if port is not None and parts.hostname:
        socket.create_connection((parts.hostname, parts.port or port), timeout=CONNECT_SECONDS).close()


def _refused(uri: str, reason: str, hint: str = "") -> InputError:
    told = mask_text(f"{reason}{hint}", uri)
    return InputError(f"tracking URI '{mask_url(uri)}': {told} (accepted: {ACCEPTED})")


def _meant(uri: str) -> str:
    if uri.startswith("file:") or uri.endswith(".db"):
        path = uri.removeprefix("file:").lstrip("/")
        root = "/" if uri.startswith(("file:/", "/")) else ""
        return f"; did you mean 'sqlite:///{root}{path if path.endswith('.db') else path.rstrip('/') + '/mlflow.db'}'?"
    if re.fullmatch(r"[\w.-]+:\d+/?", uri):
        return f"; did you mean 'http://{uri}'?"
    return ""


def _check_server(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        sound = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError as error:
        hint = "; in a password, write @ : / ? # percent-encoded" if "@" in uri else ""
        raise _refused(uri, str(error), hint) from None
    if not sound:
        raise _refused(uri, "it names no host")
    return uri.rstrip("/")


def _check_sqlite(uri: str, rest: str) -> str:
    if not rest.startswith("/") or rest in ("/", "/:memory:") or "?" in rest or rest.endswith("/"):
        raise _refused(uri, "a SQLite store needs a file, written after three slashes")
    path = Path(rest[1:]).absolute()
    if path.is_dir():
        raise _refused(uri, "it names a folder; give a file")
    if path.is_file() and path.stat().st_size:
        with path.open("rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                raise _refused(uri, f"{path} is not a SQLite database")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(uri, f"{path.parent} cannot be made ({error.strerror})") from error
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise _refused(uri, f"{path} cannot be written")
    return f"sqlite:///{path}"


def _check_database(uri: str) -> str:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import SQLAlchemyError

    try:
        url = make_url(uri)
        url.get_dialect().import_dbapi()
    except ImportError as error:
        extra = "; install it with pip install -e .[postgres]" if uri.startswith("postgresql") else ""
        raise _refused(uri, f"its driver '{error.name}' is not installed{extra}") from error
    except (SQLAlchemyError, ValueError) as error:
        raise _refused(uri, first_line(error)) from None
    if not url.host or not url.database:
        raise _refused(uri, "it names no host or no database")
    return uri
