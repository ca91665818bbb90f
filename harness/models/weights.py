"""Weights files: saved and read as plain tensors, loaded strictly; errors name the mismatches.

No code in a file is ever run: safetensors files hold tensors only, and PyTorch files are read with ``weights_only``.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from harness.core.arch import ARCHS
from harness.core.files import write_atomically
from harness.errors import DataError, InputError, first_line
from harness.models.archive import load_archive
from harness.models.builder import build
from harness.models.inherit import fpgm, inherit, is_chain
from harness.models.released import is_released, released_name

_PREFIXES = ("module.", "model.", "body.", "backbone.")
_SHOWN = 4


def save_weights(module: nn.Module, path: Path) -> None:
    """Write parameters and buffers as safetensors, atomically."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in module.state_dict().items()}
    write_atomically(path, safetensors.torch.save(tensors))


def write_labelled(source: Path, target: Path, label: Mapping[str, Any]) -> None:
    """Copy a safetensors file with a label in its header: plain data, one JSON text for each key.

    Raises:
        DataError: ``source`` is missing or unreadable.
    """
    header = {key: json.dumps(value, sort_keys=True) for key, value in label.items()}
    write_atomically(target, safetensors.torch.save(read_tensors(source), header))


def read_label(path: Path) -> dict[str, Any]:
    """Return what ``write_labelled`` wrote into a file's header; empty for other weights files.

    Raises:
        DataError: the file is missing or unreadable.
    """
    if not path.is_file():
        raise DataError(f"there is no weights file {path}")
    if path.suffix != ".safetensors":
        return {}
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path} is not a readable weights file: {error}") from error
    try:
        return {key: json.loads(value) for key, value in header.items()}
    except ValueError:
        return {}  # Other programs write other headers, such as {"format": "pt"}.


def state_digest(module: nn.Module) -> str:
    """Return 16 hex digits of the SHA-256 of all parameters and buffers with their names."""
    found = hashlib.sha256()
    for name, value in module.state_dict().items():
        found.update(name.encode())
        found.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return found.hexdigest()[:16]


def file_digest(path: Path) -> str:
    """Return 16 hex digits of the SHA-256 of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read name → tensor from a ``.safetensors`` file or a PyTorch file (a state dict, or one under ``state_dict``).

    Raises:
        DataError: the file is missing or unreadable, or holds something other than named tensors.
    """
    if not path.is_file():
        raise DataError(f"there is no weights file {path}")
    if path.suffix == ".safetensors":
        return _dense(_read_safetensors(path), path)
    loaded = load_archive(path, "weights file")
    for key in ("state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping) or not loaded or not all(isinstance(v, Tensor) for v in loaded.values()):
        raise DataError(f"{path} holds no state dict: expected names with tensors, directly or under 'state_dict'")
    return _dense({str(name): value for name, value in loaded.items()}, path)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except Exception as error:  # Beside its own error, the library lets through those of the system and of PyTorch.
        reason = first_line(error)
        raise DataError(f"{path} is not a readable weights file: {reason}") from error


def _dense(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return ``tensors``; refuse a file with tensors that do not hold one number per element."""
    for name, value in tensors.items():
        if value.is_meta or value.layout != torch.strided or value.is_quantized:
            raise DataError(f"{path}: '{name}' is quantized, sparse or without values: save plain float32 tensors")
    return tensors


def mismatches(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[str]:
    """Return one phrase for every missing name, unknown name, different shape and different kind in ``tensors``.

    Numbers of half or double precision are of the same kind as those of single precision; integers are not.
    """
    found = [f"'{name}' is missing" for name in wanted if name not in tensors]
    found += [f"'{name}' is not part of it" for name in tensors if name not in wanted]
    found += [
        f"'{name}' is {tuple(tensors[name].shape)}, wanted {tuple(value.shape)}"
        for name, value in wanted.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    return found + _other_kinds(wanted, tensors)


def _other_kinds(wanted: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> list[str]:
    return [
        f"'{name}' holds {tensors[name].dtype}, wanted {value.dtype}"
        for name, value in wanted.items()
        if name in tensors and tensors[name].is_floating_point() != value.is_floating_point()
    ]


def _load_strictly(
    module: nn.Module, tensors: Mapping[str, Tensor], path: Path, what: str, spelling: Callable[[str], str] = str
) -> None:
    """Load every tensor; ``spelling`` maps a tensor's name in the module to its name in the file."""
    state = module.state_dict()
    ours = {spelling(name): name for name in state}
    problems = mismatches({theirs: state[name] for theirs, name in ours.items()}, tensors)
    if problems:
        shown = "; ".join(problems[:_SHOWN])
        more = f"; and {len(problems) - _SHOWN:,} more" if len(problems) > _SHOWN else ""
        raise InputError(f"{path} does not fit {what}: {shown}{more}")
    module.load_state_dict({ours[theirs]: value for theirs, value in tensors.items()}, strict=True)


def load_weights(detector: nn.Module, path: Path) -> None:
    """Load a detector's weights strictly, from a file of this project or from the released FeatherFace's checkpoint.

    Raises:
        DataError: the file is missing or unreadable.
        InputError: a name is missing or unknown, or a shape differs; the message uses the file's names.
    """
    tensors = {name.removeprefix("module."): value for name, value in read_tensors(path).items()}
    try:
        _load_strictly(detector, tensors, path, "this architecture", released_name if is_released(tensors) else str)
    except InputError as error:
        raise InputError(f"{error}{_what_it_is(tensors)}") from error


def _what_it_is(tensors: Mapping[str, Tensor]) -> str:
    """Return a phrase that describes the content of a file that does not fit; empty if it is unknown."""
    if all(_bare(name).startswith("stage") for name in tensors):
        return "; it holds a backbone alone: give it as --init-backbone"
    spelling = released_name if is_released(tensors) else str
    candidates = ("featherface",) if is_released(tensors) else ARCHS
    states = {name: build(ARCHS[name]).state_dict() for name in candidates}
    known = [
        name
        for name, state in states.items()
        if not mismatches({spelling(ours): value for ours, value in state.items()}, tensors)
    ]
    return f"; it fits the arch '{known[0]}'" if known else ""


def init_backbone(detector: nn.Module, path: Path) -> None:
    """Load only ``detector.backbone`` from the weights of a whole detector or of a backbone alone.

    Equal names and shapes are loaded as they are. A MobileNetV1 of other widths or depths gives what it has for this
    one: see ``inherit``; where this one is narrower, channels are chosen by ``fpgm``.

    Backbone tensors are named ``stage1.…``, ``stage2.…`` and ``stage3.…``, as in the published RetinaFace and
    FeatherFace. The prefixes ``module.``, ``model.``, ``body.`` and ``backbone.`` are removed. Other tensors are
    ignored, such as a detector's other parts or an ImageNet classifier's ``fc``.

    Raises:
        DataError: the file is missing or unreadable.
        InputError: the file holds no backbone, or one that neither fits nor is a MobileNetV1; the message names the
            differences.
    """
    stored = read_tensors(path)
    named = {_bare(name): value for name, value in stored.items()}
    if len(named) < len(stored):
        raise InputError(f"{path} holds several tensors whose names differ only in {', '.join(_PREFIXES)}: keep one")
    tensors = {name: value for name, value in named.items() if name.startswith("stage")}
    if not tensors:
        shown = ", ".join(f"'{name}'" for name in list(named)[:_SHOWN])
        raise InputError(f"{path} holds no backbone: no tensor is called stage1.…, but {shown}, …")
    backbone = detector.get_submodule("backbone")
    fresh = backbone.state_dict()
    if not _other_kinds(fresh, tensors) and mismatches(fresh, tensors) and is_chain(fresh) and is_chain(tensors):
        tensors = inherit(fresh, tensors, fpgm)
    _load_strictly(backbone, tensors, path, "this backbone")


def _bare(name: str) -> str:
    while name.startswith(_PREFIXES):
        name = name.partition(".")[2]
    return name
