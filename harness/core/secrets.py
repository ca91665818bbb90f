"""Masks the secrets in addresses and command lines before they are written or shown.

The address of a database or server may hold a password (``postgresql://user:password@host/name``). Addresses go through
these functions before they are recorded or printed, so that no file, tracking server, report or terminal receives it.
Where an address can be read in two ways, they mask too much rather than too little.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from urllib.parse import quote, unquote, unquote_plus

from harness.errors import printable

MASK = "***"

_URL = re.compile(r"[A-Za-z][\w+.-]*://[^\s'\"<>]*[^\s'\"<>.,;:)\]]")
_SCHEME = re.compile(r"[A-Za-z][\w+.-]*")
_SECRET_NAME = re.compile(r"pass|pwd|token|secret|key|credential", re.IGNORECASE)
_NO_PORT = re.compile(r"(\[[^]]*\]|[^:/?#[]*):(?!\d*(?:[/?#]|$))")
"""A host and a colon that no port follows, as in ``user:password`` whose host was forgotten."""


def mask_url(url: str) -> str:
    """Return one address with its password and all values of its query masked.

    Paths of SQLite files are unchanged. A database's user name is kept; a web server's may be a token, so it is masked.
    """
    return _split(url)[0]


def mask_command(words: Sequence[str]) -> str:
    """Return a command, quoted for a shell and in one line, with the secrets of its words masked.

    Recognised are addresses as separate words, ``--option=ADDRESS``, and ``NAME=VALUE`` if NAME suggests a password,
    token or key.
    """
    return printable(" ".join(map(_mask_word, words)))


def mask_text(text: str, *urls: str) -> str:
    """Return a message with every address masked, and with every secret part of ``urls`` masked wherever it occurs.

    An error may quote only a part of an address (urllib quotes what it parsed as the port), also percent-decoded.
    """
    for url in urls:
        text = text.replace(url, mask_url(url))
    text = _URL.sub(lambda found: mask_url(found[0]), text)
    forms = {form for url in urls for secret in _split(url)[1] for form in _forms(secret)}
    for form in sorted(forms, key=len, reverse=True):
        # A short secret is masked only as a whole word: inside another word, it is a coincidence.
        whole = re.escape(form) if len(form) >= 4 else rf"(?<!\w){re.escape(form)}(?!\w)"
        text = re.sub(whole, MASK, text)
    return text


def _mask_word(word: str) -> str:
    name, equals, value = word.partition("=")
    if not equals or not re.fullmatch(r"[-\w]+", name):
        return shlex.quote(mask_url(word) if "://" in word else word)
    if _SECRET_NAME.search(name):
        return f"{name}={shlex.quote(MASK)}"
    return f"{name}={shlex.quote(mask_url(value) if '://' in value else value)}"


def _split(url: str) -> tuple[str, list[str]]:
    """Return the masked address and its secrets as they are written there."""
    scheme, found, rest = url.partition("://")
    if not _SCHEME.fullmatch(scheme):
        found = ""
    start, scheme, rest = (f"{scheme}://", scheme.lower(), rest) if found else ("", "", url)
    is_file = scheme.partition("+")[0] in ("sqlite", "file") and rest.startswith("/")
    user, at, tail = ("", "", rest) if is_file else rest.rpartition("@")
    if "?" in user:  # A password with "?", or a query with "@".
        return start + MASK, [rest]
    if not at and found and (host := _NO_PORT.match(tail)):
        return f"{start}{host[0]}{MASK}", [tail[host.end() :]]
    name, colon, password = user.partition(":")
    shown, secrets = user + at, []
    if at and (scheme in ("", "http", "https") or not re.fullmatch(r"[\w.%+-]*", name)):
        shown, secrets = MASK + at, [user]
    elif colon:
        shown, secrets = f"{name}:{MASK}{at}", [password]
    path, mark, query = tail.partition("?")
    pairs = [item.partition("=") if "=" in item else ("", "", item) for item in query.split("&") if item]
    masked = "&".join(f"{key}{equals}{MASK}" for key, equals, _ in pairs)
    return f"{start}{shown}{path}{mark}{masked}", secrets + [value for _, _, value in pairs]


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as written, percent-decoded and percent-encoded, whole and split where a parser may split it."""
    for text in (secret, unquote(secret), unquote_plus(secret), quote(unquote(secret), safe="")):
        yield from filter(None, (text, *re.split(r"[@/:?#&=]", text)))
