"""Secrets of addresses and command lines: never shown, however they are written."""

import random
import shlex
from contextlib import suppress
from urllib.parse import quote

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from harness.core.secrets import mask_command, mask_text, mask_url

URLS = {
    "postgresql://me:hunter2@host:5432/db": "postgresql://me:***@host:5432/db",
    "postgresql+psycopg://me:hunter2@host/db": "postgresql+psycopg://me:***@host/db",
    "postgresql://me:hunter2@host/db?password=hunter2&sslmode=require": "postgresql://me:***@host/db?password=***&sslmode=***",
    "postgresql:///db?host=/tmp&password=hunter2": "postgresql:///db?host=***&password=***",
    "postgresql://:hunter2@/db": "postgresql://:***@/db",
    "postgresql://me:hunter%402%2F@host/db": "postgresql://me:***@host/db",
    "postgresql://me:hunter2:a/b@c@host/db": "postgresql://me:***@host/db",
    "postgresql://me:hunter2#a@host/db": "postgresql://me:***@host/db",
    "postgresql://me:hunter2 a@host/db": "postgresql://me:***@host/db",
    "postgresql://me:?hunter2@host/db": "postgresql://***",
    "postgresql://host/db?user=me&password=a@hunter2": "postgresql://***",
    "postgresql:///me:hunter2@host/db": "postgresql://***@host/db",
    "postgresql:/me:hunter2@host/db": "***@host/db",
    "postgresql://me:hunter2": "postgresql://me:***",
    "postgresql://me:hunter2/db": "postgresql://me:***",
    "me:hunter2@host/db": "***@host/db",
    "host/db?password=hunter2": "host/db?password=***",
    "MYSQL://me:hunter2@host/db": "MYSQL://me:***@host/db",
    "mssql+pyodbc:///?odbc_connect=DRIVER%3DX%3BPWD%3Dhunter2": "mssql+pyodbc:///?odbc_connect=***",
    "sqlite+pysqlcipher://:hunter2@/study.db": "sqlite+pysqlcipher://:***@/study.db",
    "http://me:hunter2@host:5000/path": "http://***@host:5000/path",
    "https://hunter2@host": "https://***@host",
    "https://host/?hunter2": "https://host/?***",
    "https://host?a=hunter2=&b": "https://host?a=***&***",
}
UNCHANGED = (
    "",
    "none",
    "runs/mlflow.db",
    "localhost:5000",
    "postgresql://me@host/db",
    "postgresql://host:5432/db",
    "http://127.0.0.1:5000/#/experiments/1",
    "http://[::1]:5000",
    "sqlite:///runs/a:b@c.db",
    "sqlite:////home/me@work/study.db",
    "file:///home/me:x@work",
)


@pytest.mark.parametrize(("url", "shown"), URLS.items())
def test_a_secret_is_masked_wherever_an_address_holds_it(url: str, shown: str) -> None:
    assert mask_url(url) == shown
    assert mask_url(shown) == shown, "masked twice it stays the same"
    assert "hunter2" not in mask_text(f"cannot open '{url}' (or {url}): try again", url)


@pytest.mark.parametrize("url", UNCHANGED)
def test_an_address_without_a_secret_is_unchanged(url: str) -> None:
    assert mask_url(url) == url
    assert mask_text(f"{url}: no answer ({url}).", url) == f"{url}: no answer ({url})."


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["--storage", "postgresql://me:hunter2@h/db"], ["--storage", "postgresql://me:***@h/db"]),
        (["--storage=postgresql://me:hunter2@h/db?a=b"], ["--storage=postgresql://me:***@h/db?a=***"]),
        (["--tracking-uri", "http://me:hunter2@h"], ["--tracking-uri", "http://***@h"]),
        (["STORAGE=mysql://me:hunter2@h/db"], ["STORAGE=mysql://me:***@h/db"]),
        (["PGPASSWORD=hunter2", "MLFLOW_TRACKING_TOKEN=hunter2"], ["PGPASSWORD=***", "MLFLOW_TRACKING_TOKEN=***"]),
        (["--data", "/home/me@work/wider face", "--name=a b"], ["--data", "/home/me@work/wider face", "--name=a b"]),
        (["--storage", "sqlite:////home/me@work/a.db"], ["--storage", "sqlite:////home/me@work/a.db"]),
    ],
)
def test_a_command_keeps_every_word_but_the_secrets(words: list[str], shown: list[str]) -> None:
    assert shlex.split(mask_command(["python", *words])) == ["python", *shown]


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("postgresql://me:hunter2%40%2Fx@host/db", "cannot log in with 'hunter2@/x'"),
        ("postgresql://me:hunter2%40x@host/db", "POST http://me:hunter2%40x@host failed"),
        ("postgresql://me:first@hunter2@host/db", 'could not translate host name "hunter2@host"'),
        ("http://me:hunter2/x@host", "Port could not be cast to integer value as 'hunter2'"),
        ("postgresql://host/db?password=hunter2%21", "password hunter2! is wrong"),
        ("http://hunter2:@host", "401 for hunter2"),
        ("postgresql://me:x?hunter2@host/db", "no option hunter2"),
    ],
)
def test_a_message_that_quotes_a_part_of_a_secret_is_masked(url: str, told: str) -> None:
    shown = mask_text(told, url)
    assert "hunter2" not in shown
    assert "***" in shown


def test_a_message_is_masked_also_where_its_addresses_are_unknown() -> None:
    told = "unrecognized arguments: --storge=postgresql://me:hunter2@host/db, see http://host:5000/docs."
    shown = "unrecognized arguments: --storge=postgresql://me:***@host/db, see http://host:5000/docs."
    assert mask_text(told) == shown


def test_a_short_secret_leaves_the_words_around_it() -> None:
    assert mask_text("password p of postgresql is wrong", "postgresql://me:p@host/db") == (
        "password *** of postgresql is wrong"
    )


def test_whatever_sqlalchemy_reads_as_a_secret_is_masked() -> None:
    """Addresses with passwords of all characters that mean something in them, as written and percent-encoded."""
    draw, read = random.Random(0), 0
    for _ in range(3_000):
        password = "S3CRET" + "".join(draw.choices("ab/@:?#&=%+ .;'\"$()[]{}|~*,é", k=draw.randrange(5))) + "TERC3S"
        written = draw.choice([password, quote(password), quote(password, safe="")])
        host = draw.choice(["host", "host:5432", "", "[::1]:5"])
        url = draw.choice(
            [
                f"postgresql://me:{written}@{host}/db",
                f"mysql+pymysql://me@{host}/db?charset=utf8&password={written}",
                f"http://{written}@{host or 'host'}/path?token={written}",
                f"mssql+pyodbc://:{written}@{host}",
            ]
        )
        shown = (mask_url(url), mask_command(["study", "--storage", url]), mask_command([f"--storage={url}"]))
        assert not any("S3CRET" in text or "TERC3S" in text for text in shown), url
        with suppress(ArgumentError, ValueError):
            read += "S3CRET" in str(make_url(url).password)
    assert read > 500
