"""Archives of NumPy and PyTorch whose members are damaged, with checksums that match, so that parsers see it."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.fuzz.damage import Damaged, damaged_bytes, edited_bytes


@dataclass(frozen=True)
class Repacked:
    """The archive ``of`` with one member damaged."""

    of: str
    member: Damaged


def members(content: bytes) -> dict[str, bytes]:
    """Return the members of a zip archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def damaged_npz(archives: Mapping[str, bytes]) -> SearchStrategy[Repacked]:
    """Return inputs for ``edited_npz``."""
    return st.sampled_from(sorted(archives)).flatmap(
        lambda of: st.builds(Repacked, st.just(of), damaged_bytes(list(members(archives[of])), most=3))
    )


def edited_npz(archives: Mapping[str, bytes], repacked: Repacked) -> bytes:
    """Return an archive with one damaged member, packed without compression, as NumPy and PyTorch do."""
    inside = members(archives[repacked.of])
    inside[repacked.member.of] = edited_bytes(inside, repacked.member)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in inside.items():
            archive.writestr(name, data)
    return content.getvalue()
