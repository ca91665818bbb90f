"""What ``runs/`` and ``benchmarks/`` hold: plain data whose digest is right, because an editor may write it too."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis.strategies import SearchStrategy

from harness.core.arch import ArchConfig
from harness.core.digest import digest
from harness.core.manifest import FILE, Manifest
from harness.core.record import TrialRecord
from harness.core.scores import FILE as SCORES
from harness.core.scores import Scored, append_score, load_scores
from harness.core.sealed import DIGEST, DIGITS
from harness.core.table import Table
from harness.data.faces import FaceSetWriter, open_faceset
from harness.errors import DataError, InputError
from harness.models.latency import LatencyTable
from harness.reporting import summary
from harness.tracking.state import TrackingState
from tests.fake_table import SMALL, table
from tests.fuzz.damage import Damaged, Forged, damaged_bytes, edited_bytes, edited_json, forged
from tests.fuzz.npz import Repacked, damaged_npz, edited_npz
from tests.fuzz.parser import Parser
from tests.fuzz.seeds import written
from tests.reporting.fake_study import write_study


def _sealed(content: Any) -> bytes:
    """Return what ``write_sealed`` writes, also of content that it refuses."""
    if isinstance(content, dict):
        read = json.loads(json.dumps(content))
        with suppress(ValueError):  # A number that is not finite has no digest: such a file is refused before.
            content = read | {DIGEST: digest(read, DIGITS)}
    return json.dumps(content).encode()


def _plain(files: dict[str, bytes]) -> dict[str, Any]:
    return {
        name: {key: value for key, value in json.loads(content).items() if key != DIGEST}
        for name, content in files.items()
    }


STUDY = {
    name: content
    for name, content in written(lambda folder: write_study(folder, "mine", trials=2)).items()
    if name.endswith(".json")
}
_STUDY = _plain(STUDY)


def _study(drawn: Damaged, folder: Path) -> None:
    """A study with one damaged file, up to the summary that a report begins with."""
    for name, content in STUDY.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name != drawn.of:
            path.write_bytes(content)
        else:
            path.write_bytes(_changed(STUDY, _STUDY, drawn))
    json.dumps(summary(folder / "mine"), allow_nan=False)


def _changed(files: dict[str, bytes], plain: dict[str, Any], drawn: Damaged) -> bytes:
    return _sealed(edited_json(plain, drawn)) if isinstance(drawn, Forged) else edited_bytes(files, drawn)


def _record(drawn: Damaged, folder: Path) -> None:
    path = folder / "record.json"
    path.write_bytes(_changed(STUDY, _STUDY, drawn))
    record = TrialRecord.load(folder)
    ArchConfig.from_dict(record.arch)


def _manifest(drawn: Damaged, folder: Path) -> None:
    (folder / FILE).write_bytes(_changed(STUDY, _STUDY, drawn))
    manifest = Manifest.load(folder)
    manifest.save(folder)
    assert Manifest.load(folder) == manifest


_RECORDS = [name for name in STUDY if name.endswith("record.json")]
_MANIFESTS = [name for name in STUDY if name.endswith(FILE)]


def _configurations(drawn: Forged, _: Path) -> None:
    """A configuration from JSON, as records and enqueued trials have it: in the space, or refused."""
    configuration = edited_json(_CONFIGURATIONS, drawn)
    SMALL.check(configuration)
    assert SMALL.arch(configuration)
    assert any(one == configuration for one in SMALL.enumerate())


_CONFIGURATIONS: dict[str, Any] = {"base": SMALL.base_configuration(), "first": next(SMALL.enumerate())}


def _lines(damaged: Damaged, folder: Path) -> None:
    (folder / SCORES).write_bytes(edited_bytes(SCORED, damaged))
    found = load_scores(folder)
    assert load_scores(folder) == found, "a line that was not written whole is removed once"


def _scored(folder: Path) -> None:
    for number in range(3):
        append_score(folder, Scored(number, {"neck.channels": 32}, 250_000, {"mean": 0.5}, "", 1.5))


SCORED = written(_scored)
TABLES = written(lambda folder: table(SMALL, networks=2).save(folder / "table.json"))
_TABLES = {name: json.loads(content) for name, content in TABLES.items()}


def _table(drawn: Damaged, folder: Path) -> None:
    path = folder / "table.json"
    content = json.dumps(edited_json(_TABLES, drawn)).encode() if isinstance(drawn, Forged) else None
    path.write_bytes(edited_bytes(TABLES, drawn) if content is None else content)
    found = Table.load(path)
    for network in found.networks:
        assert all(isinstance(ap, float) for aps in network.aps.values() for ap in aps)
    found.save(path)
    assert Table.load(path) == found


CACHED: dict[str, Any] = {
    "latency": {"conditions": {"cpu": "x", "threads": 1}, "times": {"backbone": 0.5, "head": 0.25}},
    "tracking": {"study_id": "a", "uri": "sqlite:///x", "runs": {"v1": "r"}, "started": {"v1": 1}, "artifacts": {}},
}


def _cached(drawn: Forged, folder: Path) -> None:
    path = folder / "cached.json"
    path.write_text(json.dumps(edited_json(CACHED, drawn)), encoding="utf-8")
    if drawn.of == "latency":
        assert all(isinstance(time, float) for time in LatencyTable.load(path).times.values())
    else:
        state = TrackingState.load(path, "sqlite:///x")
        state.save(path)
        assert TrackingState.load(path, state.uri) == state


def _faces(folder: Path) -> None:
    with FaceSetWriter(folder / "faces", "test train") as writer:
        for index in range(2):
            boxes = np.array([[1, 2, 6, 8]] * index, dtype=np.float32).reshape(-1, 4)
            points = np.zeros((index, 10), dtype=np.float32)
            writer.add(f"image_{index}", np.full((9, 7, 3), index, np.uint8), boxes, points)
        writer.finish()


FACES = written(_faces)
_ARRAYS = {name: content for name, content in FACES.items() if name.endswith(".npz")}
_META = {name: json.loads(content) for name, content in FACES.items() if name.endswith(".json")}


def _face_set(drawn: Damaged | Repacked, folder: Path) -> None:
    for name, content in FACES.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if name != drawn.of:
            path.write_bytes(content)
        elif isinstance(drawn, Forged):
            path.write_text(json.dumps(edited_json(_META, drawn)), encoding="utf-8")
        else:
            path.write_bytes(edited_npz(FACES, drawn) if isinstance(drawn, Repacked) else edited_bytes(FACES, drawn))
    found = open_faceset(folder / "faces")
    assert [found.image(index).shape for index in range(len(found))] == [(9, 7, 3)] * 2
    assert [len(found.faces(index)[0]) for index in range(len(found))] == [0, 1]


def _both(names: list[str]) -> SearchStrategy[Any]:
    return forged(names) | damaged_bytes(names)


PARSERS = (
    Parser("studies (study.json)", lambda: _both(_MANIFESTS), _manifest, 6_000),
    Parser("records (record.json)", lambda: _both(_RECORDS), _record, 6_000),
    Parser("folders of studies", lambda: _both(list(STUDY)), _study, 3_000, few=20),
    Parser("configurations", lambda: forged(list(_CONFIGURATIONS)), _configurations, 8_000, refusals=(InputError,)),
    Parser("scores (scores.jsonl)", lambda: damaged_bytes(list(SCORED)), _lines, 6_000),
    Parser(
        "tables (.json)",
        lambda: _both(list(TABLES)),
        _table,
        4_000,
        examples=(Forged("table.json", (("put", 182, None),)),),
    ),
    Parser(
        "latencies, tracking state",
        lambda: forged(list(CACHED)),
        _cached,
        6_000,
        refusals=(DataError,),
        examples=(Forged("tracking", (("put", 1, None), ("put", 7566, None))),),
    ),
    Parser(
        "face sets",
        lambda: damaged_bytes(list(FACES)) | forged(list(_META)) | damaged_npz(_ARRAYS),
        _face_set,
        4_000,
        refusals=(DataError,),
    ),
)
