"""Weights files and checkpoints."""

import io
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import safetensors.torch
import torch
from hypothesis.strategies import SearchStrategy
from torch import Tensor, nn

from harness.core.arch import ARCHS
from harness.models.builder import build
from harness.models.named import LARGEST, find_network
from harness.models.weights import init_backbone, load_weights, read_label, read_tensors
from harness.training.checkpoint import CHECKPOINT, UNUSABLE, load_checkpoint, write_checkpoint
from harness.training.setup import Setup
from tests.fuzz.damage import Damaged, Forged, damaged_bytes, edited_bytes, edited_json, forged
from tests.fuzz.npz import Repacked, damaged_npz, edited_npz
from tests.fuzz.parser import Parser
from tests.fuzz.seeds import written


class _Net(nn.Module):
    """A network of a few numbers, with a backbone."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict({"stage1": nn.Linear(3, 2), "stage2": nn.BatchNorm1d(2)})
        self.head = nn.Linear(2, 2)


torch.manual_seed(0)
_STATE: dict[str, Tensor] = _Net().state_dict()
_LABEL = {"arch": json.dumps(ARCHS["v2"].to_dict()), "study": '"mine"'}


def _saved(content: Any, **how: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **how)
    return stream.getvalue()


PTH = {
    "plain": _saved(_STATE),
    "nested": _saved({"state_dict": {f"module.{name}": value for name, value in _STATE.items()}, "epoch": 3}),
    "old": _saved(_STATE, _use_new_zipfile_serialization=False),
    "half": _saved({name: value.half() for name, value in _STATE.items()}),
    "int8": _saved({name: value.to(torch.int8) for name, value in _STATE.items()}),
}
_ZIPPED = {name: content for name, content in PTH.items() if name != "old"}
SAFETENSORS = {"plain": safetensors.torch.save(_STATE), "labelled": safetensors.torch.save(_STATE, _LABEL)}


def _header(content: bytes) -> tuple[Any, bytes]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length]), content[8 + length :]


HEADERS = {name: _header(content)[0] for name, content in SAFETENSORS.items()}


def _safetensors(drawn: Damaged | Forged) -> bytes:
    if not isinstance(drawn, Forged):
        return edited_bytes(SAFETENSORS, drawn)
    header = json.dumps(edited_json(HEADERS, drawn)).encode("utf-8", "surrogatepass")
    return len(header).to_bytes(8, "little") + header + _header(SAFETENSORS[drawn.of])[1]


def _use(path: Path) -> None:
    """Do with a file what commands do with weights."""
    tensors = read_tensors(path)
    assert all(isinstance(name, str) and value.layout == torch.strided for name, value in tensors.items())
    init_backbone(cast(Any, _Net()), path)
    load_weights(_Net(), path)


def _read_pth(drawn: Damaged | Repacked, folder: Path) -> None:
    path = folder / "weights.pth"
    path.write_bytes(edited_bytes(PTH, drawn) if isinstance(drawn, Damaged) else edited_npz(_ZIPPED, drawn))
    _use(path)


def _read_safetensors(drawn: Damaged | Forged, folder: Path) -> None:
    path = folder / "weights.safetensors"
    path.write_bytes(_safetensors(drawn))
    read_label(path)
    _use(path)


LABELS: dict[str, Any] = {name: json.loads(_LABEL["arch"]) for name in ("v2",)} | {
    name: arch.to_dict() for name, arch in ARCHS.items()
}


def _labelled(drawn: Forged, folder: Path) -> None:
    """The architecture in a file's header decides what is built."""
    path = folder / "weights.safetensors"
    label = json.dumps(edited_json(LABELS, drawn))
    path.write_bytes(safetensors.torch.save(_STATE, {"arch": label, "study": "1"}))
    build(find_network(None, None, path, folder).arch, LARGEST)


IDENTITY = {"seed": 0, "arch": {"name": "v2"}}
_STEPPED = torch.optim.AdamW(_Net().parameters(), lr=0.1)


def _setup(folder: Path) -> Any:
    student = _Net()
    for parameter in student.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer = torch.optim.AdamW(student.parameters(), lr=0.1)
    optimizer.step()
    return SimpleNamespace(
        job=SimpleNamespace(folder=folder),
        identity=IDENTITY,
        device=torch.device("cpu"),
        student=student,
        distiller=None,
        optimizer=optimizer,
        average=None,
        best={},
        history=[],
    )


def _state(folder: Path) -> dict[str, Any]:
    setup = _setup(folder)
    return {
        "identity": IDENTITY,
        "history": [{"epoch": 1, "losses": {"box": 1.0}, "ap": {"mean": 0.5}}],
        "student": dict(setup.student.state_dict()),
        "adapters": {},
        "optimizer": setup.optimizer.state_dict(),
        "average": {},
        "best": {},
        "random": torch.get_rng_state(),
    }


STATES = {"state": _state(Path())}
CHECKPOINTS = {CHECKPOINT: written(lambda folder: write_checkpoint(folder, STATES["state"]))[CHECKPOINT]}


def _checkpoint(drawn: Damaged | Repacked | Forged, folder: Path) -> None:
    path = folder / CHECKPOINT
    if isinstance(drawn, Repacked):
        path.write_bytes(edited_npz(CHECKPOINTS, drawn))
    elif isinstance(drawn, Forged):
        torch.save(edited_json(STATES, drawn), path)
    else:
        path.write_bytes(edited_bytes(CHECKPOINTS, drawn))
    whole, setup = path.read_bytes(), _setup(folder)
    load_checkpoint(cast(Setup, setup))
    (kept,) = folder.iterdir()
    assert kept.read_bytes() == whole, "what cannot be used is set aside unchanged"
    assert kept.name in (CHECKPOINT, f"{CHECKPOINT}{UNUSABLE}")


def _inputs(names: list[str], zipped: dict[str, bytes]) -> SearchStrategy[Any]:
    return damaged_bytes(names) | damaged_npz(zipped)


PARSERS = (
    Parser("weights (.pth)", lambda: _inputs(list(PTH), _ZIPPED), _read_pth, 5_000),
    Parser(
        "weights (.safetensors)",
        lambda: damaged_bytes(list(SAFETENSORS)) | forged(list(HEADERS)),
        _read_safetensors,
        6_000,
    ),
    Parser(
        "architectures in weights",
        lambda: forged(list(LABELS)),
        _labelled,
        2_000,
        examples=(Forged("featherface", (("put", 0, None),)), Forged("featherface", (("put", 750, 10**30),))),
    ),
    Parser(
        "checkpoints (last.pt)",
        lambda: _inputs(list(CHECKPOINTS), CHECKPOINTS) | forged(list(STATES)),
        _checkpoint,
        4_000,
        examples=(Forged("state", (("put", 303, None),)),),
    ),
)
