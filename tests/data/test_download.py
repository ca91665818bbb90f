"""WIDER FACE from a hub on loopback, which gives the answers that a download needs, and all failures."""

import hashlib
import io
import json
import re
import shutil
import stat
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import pytest
from filelock import FileLock
from huggingface_hub import constants

from harness import cli
from harness.data.__main__ import main
from harness.data.download import ARCHIVES, Archive
from harness.errors import HarnessError, InputError
from tests.data.tiny_widerface import VAL, write_mats


class Asked(NamedTuple):
    method: str
    name: str
    range: str | None


@dataclass
class Hub:
    """The files and failures of the server, and the requests that it received."""

    files: dict[str, bytes]
    cut: bool = False
    ranges: bool = True
    asked: list[Asked] = field(default_factory=list)


class Answer(BaseHTTPRequestHandler):
    """As the hub: ``resolve`` leads to another host, which has the bytes."""

    hub: Hub
    server: ThreadingHTTPServer

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        name = self.path.rsplit("/", 1)[1]
        self.hub.asked.append(Asked(self.command, self.path, self.headers["Range"]))
        content = self.hub.files.get(name)
        if content is None:
            self.reply(404, {"X-Error-Code": "EntryNotFound"})
        elif self.path == f"/datasets/CUHK-CSE/wider_face/resolve/main/data/{name}":
            self.reply(302, {"Location": f"http://localhost:{self.connection.getsockname()[1]}/cdn/{name}"})
        elif self.path == f"/cdn/{name}":
            self.send_content(content)
        else:
            self.reply(404, {})

    def send_content(self, content: bytes) -> None:
        given = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(given[1]) if given and self.hub.ranges else 0
        part = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        if not self.hub.cut:
            self.reply(206 if start else 200, part, content[start:])
        elif start:
            self.reply(503, {})
        else:
            self.reply(200, {"Content-Length": str(len(content))}, content[: len(content) // 2])
            self.close_connection = True

    def reply(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def hub(official: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with tiny archives of the official layout, and the harness expecting exactly these."""
    # The official archive has wider_face_val.mat, and the three lists are elsewhere.
    for level in ("easy", "medium", "hard"):
        (official / "wider_face_split" / f"wider_{level}_val.mat").unlink()
    hub = Hub({archive.name: packed(official, archive.folder) for archive in ARCHIVES})
    expect(hub, monkeypatch)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Answer,), {"hub": hub}))
    # As HF_ENDPOINT does, which is read when the library is imported; small pieces, because the archives are small.
    template = f"http://127.0.0.1:{server.server_port}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 100)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def packed(root: Path, folder: str) -> bytes:
    """Return a zip of ``root/folder``, with what one made on a Mac also holds."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((root / folder).rglob("*")):
            archive.write(path, path.relative_to(root))
        archive.writestr("__MACOSX/._images", b"resource fork")
    return buffer.getvalue()


def expect(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hub's files be the official ones."""
    official = [
        Archive(name.removesuffix(".zip"), len(content), hashlib.sha256(content).hexdigest())
        for name, content in hub.files.items()
    ]
    monkeypatch.setattr("harness.data.download.ARCHIVES", tuple(official))


def download(root: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Run the command as a shell does and return its exit code and what it printed on stdout and stderr."""
    with pytest.raises(SystemExit) as ended:
        cli.run(main, ["download", "widerface", str(root)])
    code = ended.value.code
    assert isinstance(code, int)
    return code, *capsys.readouterr()


def listed(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_download_is_what_check_accepts(
    hub: Hub, official: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "a copy"
    code, out, err = download(root, capsys)
    assert (code, err) == (0, "")
    for folder in ("WIDER_train", "WIDER_val", "wider_face_split"):
        assert listed(root / folder) == listed(official / folder)
        assert all(
            (root / folder / name).read_bytes() == (official / folder / name).read_bytes()
            for name in listed(root / folder)
            if (root / folder / name).is_file()
        )
    assert sorted(path.name for path in root.iterdir()) == ["WIDER_train", "WIDER_val", "wider_face_split"]
    assert "WIDER_train: 4 files" in out
    assert "eval_tools.zip" in out
    assert out.endswith(f"next: python -m harness.data check '{root}'\n")
    assert {name.split("/")[1] for _, name, _ in hub.asked} == {"datasets", "cdn"}, (
        "nothing but the archives is asked for"
    )

    write_mats(root / "eval_tools" / "ground_truth", VAL)
    assert main(["check", str(root), "--sheets", str(tmp_path / "sheets"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["accepted"]
    assert [said["splits"][split]["images"] for split in ("train", "val")] == [4, 2]


def test_a_second_run_asks_for_nothing(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    download(tmp_path / "copy", capsys)
    write_mats(tmp_path / "copy" / "ground_truth", VAL)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "copy").rglob("*")}
    hub.asked.clear()
    code, out, _ = download(tmp_path / "copy", capsys)
    assert code == 0
    assert "nothing to do" in out
    assert "eval_tools" not in out
    assert hub.asked == []
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "copy").rglob("*")} == before


def test_only_what_is_missing_is_fetched(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "WIDER_val" / "images" / "mine.jpg"
    mine.parent.mkdir(parents=True)
    mine.touch()
    assert main(["download", "widerface", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["fetched"] == {"wider_face_split": 3, "WIDER_train": 4}
    assert listed(tmp_path / "WIDER_val" / "images") == ["mine.jpg"]
    assert not any(asked.name.endswith("WIDER_val.zip") for asked in hub.asked)


@pytest.mark.parametrize("ranges", [True, False])
def test_an_interrupted_download_resumes(
    ranges: bool, hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server without range requests sends the whole file, which replaces the part."""
    root = tmp_path / "copy"
    hub.cut = True
    code, out, err = download(root, capsys)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "503" in err
    total = len(hub.files["wider_face_split.zip"])
    here = (root / ".download" / "wider_face_split.zip").stat().st_size
    assert 0 < here <= total // 2
    assert f"{here:,} of {total:,} bytes are downloaded; the same command resumes the download" in err
    assert sorted(path.name for path in root.iterdir()) == [".download"]

    hub.cut, hub.ranges = False, ranges
    hub.asked.clear()
    code, out, _ = download(root, capsys)
    assert code == 0
    assert "wider_face_split: 3 files" in out
    first = next(asked for asked in hub.asked if asked.method == "GET")
    assert first.range == f"bytes={here}-"
    assert not (root / ".download").exists()


def test_a_whole_archive_is_not_fetched_again(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The state that a process killed while unpacking leaves."""
    partials = tmp_path / ".download"
    (partials / "WIDER_train.unpacking" / "WIDER_train" / "stale").mkdir(parents=True)
    for name, content in hub.files.items():
        (partials / name).write_bytes(content)
    assert download(tmp_path, capsys)[0] == 0
    assert hub.asked == []
    assert listed(tmp_path / "WIDER_train")[0] == "images"
    assert not partials.exists()


def test_a_file_that_is_too_long_is_fetched_again(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / ".download").mkdir()
    (tmp_path / ".download" / "WIDER_val.zip").write_bytes(bytes(len(hub.files["WIDER_val.zip"]) + 1))
    assert download(tmp_path, capsys)[0] == 0
    assert (tmp_path / "WIDER_val" / "images").is_dir()


@pytest.mark.parametrize("spoil", [lambda good: good[:-1] + b"?", lambda good: good + b"?", lambda good: good[:-1]])
def test_wrong_content_is_refused_and_removed(
    spoil: Callable[[bytes], bytes], hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = hub.files["WIDER_train.zip"]
    hub.files["WIDER_train.zip"] = spoil(good)
    code, out, err = download(tmp_path / "copy", capsys)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "WIDER_train.zip is refused and removed: its sha256 is" in err
    assert sorted(path.name for path in (tmp_path / "copy").iterdir()) == [".download", "wider_face_split"]
    assert listed(tmp_path / "copy" / ".download") == ["lock"]
    hub.files["WIDER_train.zip"] = good
    assert download(tmp_path / "copy", capsys)[0] == 0


def malicious(kind: str) -> bytes:
    member, content = zipfile.ZipInfo("WIDER_train/images/0--Parade/a.jpg"), b"content"
    match kind:
        case "bomb":
            content = bytes(1_000_000)
        case "link":
            member.external_attr = (stat.S_IFLNK | 0o777) << 16
            content = b"/etc/passwd"
        case "elsewhere":
            member.filename = "other/a.jpg"
        case _:
            member.filename = kind
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(
            "WIDER_train/images/0--Parade/first.jpg" if kind != "elsewhere" else "other/first.jpg", b"first"
        )
        archive.writestr(member, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("../evil.txt", "outside its own folder"),
        ("WIDER_train/../../evil.txt", "outside its own folder"),
        ("/{tmp}/evil.txt", "outside its own folder"),
        ("..\\evil.txt", "outside its own folder"),
        ("link", "is a link"),
        ("bomb", "it unpacks to 1,000,005 bytes"),
        ("elsewhere", "has no folder WIDER_train/"),
        ("no zip", "is damaged"),
    ],
)
def test_a_malicious_archive_is_refused(
    kind: str,
    told: str,
    hub: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Even where its digest is the expected one."""
    content = malicious(kind.format(tmp=tmp_path))
    hub.files = {"WIDER_train.zip": content[:-30] if kind == "no zip" else content}
    expect(hub, monkeypatch)
    before = listed(tmp_path)
    code, out, err = download(tmp_path / "copy", capsys)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert told in err
    assert sorted(set(listed(tmp_path)) - set(before)) == ["copy", "copy/.download", "copy/.download/lock"]


def test_no_network_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    )
    code, out, err = download(tmp_path / "copy", capsys)
    assert (code, out) == (1, "")
    assert err.startswith(
        "error: http://127.0.0.1:9/datasets/CUHK-CSE/wider_face/resolve/main/data/wider_face_split.zip: "
    )
    assert err.endswith("the same command resumes the download\n")
    assert err.count("\n") == 1
    assert listed(tmp_path / "copy") == [".download", ".download/lock"]


def test_what_the_hub_lacks_is_one_line(hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del hub.files["WIDER_val.zip"]
    code, _, err = download(tmp_path, capsys)
    assert code == 1
    assert "data/WIDER_val.zip: 404" in err
    assert err.count("\n") == 1


def test_a_full_disk_is_told_before_anything_is_fetched(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.data.download.ARCHIVES", ARCHIVES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**10, 9 * 10**9, 10**9))
    with pytest.raises(HarnessError, match=r"has 1\.0 GB free, but 3\.7 GB are needed") as error:
        main(["download", "widerface", str(tmp_path)])
    assert error.value.exit_code == 1
    assert hub.asked == []


def test_a_folder_that_cannot_be_used_is_wrong_input(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be created"):
        main(["download", "widerface", str(tmp_path / "file")])
    (tmp_path / "WIDER_val").touch()
    with pytest.raises(InputError, match="WIDER_val is a file"):
        main(["download", "widerface", str(tmp_path)])
    assert hub.asked == []


def test_two_downloads_do_not_meet(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / ".download").mkdir()
    with (
        FileLock(tmp_path / ".download" / "lock"),
        pytest.raises(HarnessError, match=r"another download into .* is running"),
    ):
        main(["download", "widerface", str(tmp_path)])
    assert hub.asked == []


@pytest.mark.parametrize("given", [[], ["fetch"], ["download"], ["download", "celeba", "x"], ["check"]])
def test_wrong_words_are_one_line(given: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(given)
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
