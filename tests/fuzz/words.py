"""Names, numbers, addresses and command lines."""

import os
import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from harness import cli
from harness.core.names import load_space, load_study
from harness.core.numbers import integer, number
from harness.core.protocol import RESERVED, StudyConfig
from harness.core.record import find_trial
from harness.core.secrets import mask_command, mask_text, mask_url
from harness.errors import InputError, printable
from harness.models.builder import resolve_arch
from harness.reporting.study.data import find_study
from harness.search.storage import check_url
from harness.tracking.address import check_uri
from tests.fuzz.damage import TOKENS
from tests.fuzz.parser import Parser

_LETTERS = st.text("abzAZ09_-./\\ \0\n%éß٣🙂", max_size=12)


def _texts(*tokens: str) -> SearchStrategy[str]:
    return st.sampled_from((*TOKENS, *tokens)) | _LETTERS | st.text(max_size=120)


def _name(name: str, folder: Path) -> None:
    for find in (load_space, load_study, resolve_arch, lambda name: find_study(name, folder)):
        with suppress(InputError):
            find(name)
    with suppress(InputError):
        find_trial(name, folder)
    assert re.fullmatch(r"[\w-]*", cli.study_name(name, "x"), re.ASCII)
    StudyConfig(name, "", "v2_light")
    assert re.fullmatch(r"\w[\w-]{0,99}", name, re.ASCII)
    assert name.lower() not in RESERVED
    (folder / name).mkdir()
    assert [path.name for path in folder.iterdir()] == [name]


def _number(text: str, _: Path) -> None:
    """Numbers are read as C reads them: no underscores, no digits of other scripts."""
    whole = re.fullmatch(r"\s*[+-]?\d+\s*", text, re.ASCII)
    decimal = re.fullmatch(
        r"\s*[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?|nan)\s*", text, re.ASCII | re.IGNORECASE
    )
    read: dict[Callable[[str], object], object] = {integer: whole, number: decimal}
    for parse, expected in read.items():
        try:
            parse(text)
        except ValueError:
            assert not expected or len(text) > 4_000
        else:
            assert expected
    if not decimal:
        raise ValueError("not a number")


_SECRET = "S3CRET"
_HOSTS = (
    "host",
    "host:5432",
    "127.0.0.1",
    "[::1]:5",
    "",
    ":",
    "host:x",
    "host:99999999",
    "[::1",
    "é.example",
    "a" * 300,
)
_SCHEMES = (
    *("postgresql", "postgresql+psycopg", "mysql", "mysql+pymysql", "mssql+pyodbc", "sqlite", "http", "https", "file"),
    *("", "HTTP", "Postgresql", "sqlite+x", "redis", "javascript", "é", "1"),
)


@st.composite
def _addresses(draw: st.DrawFn) -> str:
    """Draw an address with a secret, which is well formed or nearly so."""
    secret = _SECRET + draw(st.text("ab/@:?#&=%+ .;'\"$()[]{}|~*,é\n", max_size=4)) + _SECRET[::-1]
    written = draw(st.sampled_from([secret, quote(secret), quote(secret, safe="")]))
    scheme, host = draw(st.sampled_from(_SCHEMES)), draw(st.sampled_from(_HOSTS))
    separator = draw(st.sampled_from(["://", "://", "://", ":/", ":", "///", "////"]))
    users = ["", "me:{}@", "me@", ":{}@", "me:{}:x@", *(["{}@"] if scheme.lower().startswith("http") else [])]
    user = draw(st.sampled_from(users)).format(written)  # The name of a database's user is no secret.
    path = draw(st.sampled_from(["", "/", "/db", "/a/b.db", "//db", "/\0", "/%00", "/:memory:", "/é", "/a b"]))
    query = draw(st.sampled_from(["", "?", "?password={}", "?a=b&token={}", "?{}", "?host=/tmp", "?a"])).format(
        written.replace("=", "~")
    )
    return f"{scheme}{separator}{user}{host}{path}{query}"


def _address(address: str, folder: Path) -> None:
    before = Path.cwd()
    os.chdir(folder)
    try:
        _assert_masked(mask_url(address), address)
        _assert_masked(mask_text(f"cannot open '{address}': no answer", address), address)
        if "://" in address:  # Without it, a word of a command is taken for a path.
            _assert_masked(mask_command(["--storage", address, f"--tracking-uri={address}"]), address)
        assert mask_url(mask_url(address)) == mask_url(address)
        for check in (check_url, check_uri):
            try:
                check(address)
            except InputError as error:
                _assert_masked(str(error), address)
        check_uri(address)
    finally:
        os.chdir(before)


def _assert_masked(shown: str, address: str) -> None:
    is_file = re.match(r"(sqlite|file)(\+\w*)?:", address, re.IGNORECASE)
    if not is_file:  # Whose paths are no secrets.
        assert _SECRET not in shown, shown
        assert _SECRET[::-1] not in shown, shown


def _command(words: list[str], _: Path) -> None:
    """A masked command line is read by a shell as the same words."""
    shown = shlex.split(mask_command(words))
    assert len(shown) == len(words)
    for word, said in zip(words, shown, strict=True):
        assert printable(word) == said or "***" in said


PARSERS = (
    Parser("names", lambda: _texts("v2/best", "default/7", "cache", *RESERVED, "-x"), _name, 6_000),
    Parser(
        "numbers",
        lambda: _texts("1", "+1.5e3", " 7 ", ".5", "1.", "0x1", "١") | st.from_regex(r"[+-]?[\d_.e]{1,8}"),
        _number,
        12_000,
        refusals=(ValueError,),
    ),
    Parser("addresses", _addresses, _address, 6_000, examples=(f"postgresql:/me:{_SECRET}{_SECRET[::-1]}@://db",)),
    Parser("command lines", lambda: st.lists(_texts("--x=y", "a=http://u:p@h", "PASS=x"), max_size=4), _command, 8_000),
)
