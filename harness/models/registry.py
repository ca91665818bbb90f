"""``Registry``: name → interchangeable part, with a description and a source."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from harness.errors import unknown_name

T = TypeVar("T")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """A registered part: its ``name``, the ``item`` itself, a one-line ``description`` and its ``source``."""

    name: str
    item: T
    description: str
    source: str


class Registry(Generic[T]):
    """Named entries of one kind. An unknown name raises an InputError with the known names and the closest one."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, Entry[T]] = {}

    def add(self, name: str, item: T, description: str, source: str) -> None:
        """Register ``item`` under ``name``.

        Raises:
            ValueError: the name is taken, or the description or source is empty.
        """
        if name in self._entries:
            raise ValueError(f"{self.kind} '{name}' is registered already")
        if not description or not source:
            raise ValueError(f"{self.kind} '{name}' needs a description and a source")
        self._entries[name] = Entry(name, item, description, source)

    def __getitem__(self, name: str) -> Entry[T]:
        if name not in self._entries:
            raise unknown_name(self.kind, name, self._entries)
        return self._entries[name]

    def __iter__(self) -> Iterator[Entry[T]]:
        return iter(self._entries.values())

    def __len__(self) -> int:
        return len(self._entries)
