"""``python -m harness.detect``: find faces in pictures and videos, draw them, and print them as JSON.

With an ONNX file as the model, nothing here imports PyTorch.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from harness import cli
from harness.core.files import write_atomically
from harness.core.numbers import integer, number
from harness.deployment.draw import LARGEST_JPEG, draw
from harness.deployment.model import LARGEST, NMS, SCORE, Faces, check_settings, load
from harness.deployment.pictures import UnreadableError, read_picture
from harness.deployment.videos import SUFFIXES, Video, writing
from harness.detection.framing import Image
from harness.errors import InputError, printable

EXAMPLES = f"""Prints each picture's faces: boxes, scores and landmarks, in pixels of the picture as viewers show it.

examples:
  python -m harness.detect photo.jpg --out found
  python -m harness.detect FOLDER --model v2-640.onnx --json
  python -m harness.detect FOLDER clip.mp4 --model default-v2_p5-synthetic/best --score 0.3 --out found
  python -m harness.detect photo.jpg --model weights.safetensors --arch v2 --side 1024

The default model is the best student of reports/default-v2_p5-synthetic. It was trained on generated scenes, not
on photographs: it shows how the command works, and misses faces in photographs.
An ONNX file, which `python -m harness.export` writes, needs no PyTorch: pip install '.[detect]'.
Pictures of more than {LARGEST:,} pixels are reduced to these. A network of fixed size sees every picture at its size.
Of an animation, the first picture is read. A folder is searched with its subfolders; a file that cannot be read is
listed, the others are done, and the exit code is 1; it is 2 if no file could be read.
"""


@dataclass
class Found:
    """Results.

    Attributes:
        images: one entry for each picture or frame, as ``--json`` prints it.
        refused: ``file`` and ``reason`` of every file that could not be read.
    """

    images: list[dict[str, Any]] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)


def main(argv: Sequence[str] | None = None) -> int:
    """Detect, draw and print a line for each picture, or one JSON object with ``--json``."""
    given = _parser().parse_args(argv)
    _check(given)
    files = list(_files(given.paths, given.out))
    if not files:
        raise InputError(f"{given.paths[0]} holds no file")
    labels = [label for _, label in files]
    if given.out is not None and len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise InputError(f"two files are called {twice}: with --out, give their folders in separate calls")
    model = load(given.model, arch=given.arch, runs=given.runs, device=given.device, threads=given.threads)

    def find(image: Image) -> Faces:
        return model.detect(image, score=given.score, nms=given.nms, side=given.side)

    found = Found()
    with cli.Progress() as progress:
        for done, (file, label) in enumerate(files):
            progress.stage("pictures", done, len(files))
            try:
                _detect(file, label, find, given.out, found, progress)
            except UnreadableError as error:
                found.refused.append({"file": label, "reason": str(error)})
        progress.stage("pictures", len(files), len(files))
    _report(given, {"model": model.name, "images": found.images, "refused": found.refused})
    return (1 if found.images else 2) if found.refused else 0


def _parser() -> cli.Parser:
    parser = cli.Parser("harness.detect", "Find faces in pictures and videos.", EXAMPLES)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="picture, video or folder")
    model = parser.add_argument_group("the model")
    model.add_argument(
        "--model",
        metavar="FILE|STUDY/best",
        help="an .onnx file, a .safetensors file, or a network of a study in --runs (default: the best student of "
        "reports/default-v2_p5-synthetic, trained on generated scenes)",
    )
    model.add_argument("--arch", metavar="NAME", help="architecture of a weights file that does not state it")
    model.add_argument("--threads", type=integer, default=0, metavar="N", help="CPU threads (default: one per core)")
    cli.add(model, "--device", "--runs")
    faces = parser.add_argument_group("the faces")
    faces.add_argument(
        "--score", type=number, default=SCORE, metavar="X", help=f"least score, 0 to 1 (default: {SCORE})"
    )
    faces.add_argument("--nms", type=number, default=NMS, metavar="X", help=f"IoU of suppression (default: {NMS})")
    faces.add_argument(
        "--side",
        type=integer,
        metavar="N",
        help=f"resize the longest side to N pixels; 0 keeps it (default: reduce to {LARGEST:,})",
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="write pictures with faces drawn, and faces.json")
    cli.add(parser, "--json")
    return parser


def _check(given: argparse.Namespace) -> None:
    """Refuse what cannot be done, before anything is loaded."""
    for path in given.paths:
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if not (path.is_file() or path.is_dir()):
            raise InputError(f"{path} is neither a file nor a folder")
    check_settings(given.score, given.nms, given.side)
    if given.threads < 0:
        raise InputError(f"--threads must be positive, got {given.threads}")
    if given.out is not None:
        cli.require_writable("--out", given.out)


def _files(paths: Sequence[Path], out: Path | None) -> Iterator[tuple[Path, str]]:
    """Yield every file with its name in the results: relative to the folder that was given.

    Hidden files, and what an earlier run wrote into ``out``, are left out.
    """
    for path in paths:
        if not path.is_dir():
            yield path, path.name
            continue
        for file in sorted(path.rglob("*")):
            relative = file.relative_to(path)
            hidden = any(part.startswith(".") for part in relative.parts)
            written = out is not None and file.resolve().is_relative_to(out.resolve())
            if file.is_file() and not hidden and not written:
                yield file, relative.as_posix()


def _detect(
    file: Path, label: str, find: Callable[[Image], Faces], out: Path | None, found: Found, progress: cli.Progress
) -> None:
    """Add a file's results; a picture or video with the faces drawn is written below ``out``.

    Raises:
        UnreadableError: the file is no picture or video, is damaged, or is too large to be drawn.
    """
    if file.suffix.lower() in SUFFIXES:
        _video(file, label, find, out, found, progress)
        return
    image = read_picture(file)
    if out is not None and max(image.shape) > LARGEST_JPEG:
        raise UnreadableError(f"has more than {LARGEST_JPEG:,} pixels a side, too many for --out, which draws JPEGs")
    faces = find(image)
    entry = {"file": label, "width": image.shape[1], "height": image.shape[0], "faces": faces.to_list()}
    if out is not None:
        picture = _beside(out, label, ".jpg")
        write_atomically(picture, cv2.imencode(".jpg", draw(image, faces.rows))[1].tobytes())
        entry["picture"] = str(picture)
    found.images.append(entry)


def _video(
    file: Path, label: str, find: Callable[[Image], Faces], out: Path | None, found: Found, progress: cli.Progress
) -> None:
    video = Video(file)
    target = None if out is None else _beside(out, label, ".mp4")
    with writing(target, video.fps) as writer:
        number = -1
        for number, image in enumerate(video):
            faces = find(image)
            if writer is not None:
                writer.add(draw(image, faces.rows))
            size = {"width": image.shape[1], "height": image.shape[0]}
            at = {"frame": number, "seconds": round(number / video.fps, 3)}
            found.images.append({"file": label, **at, **size, "faces": faces.to_list()})
            progress.stage(label, number + 1, max(video.frames, number + 1))
    if number < 0:
        raise UnreadableError("is a video without a frame that OpenCV decodes")


def _beside(out: Path, label: str, suffix: str) -> Path:
    """Return the file below ``out`` for a drawn picture; never the name of the picture itself."""
    path = out / f"{label}.faces{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def _report(given: argparse.Namespace, results: dict[str, Any]) -> None:
    if given.out is not None:
        write_atomically(given.out / "faces.json", f"{json.dumps(results, indent=1)}\n".encode())
    for refused in results["refused"]:
        print(printable(f"{refused['file']} {refused['reason']}"), file=sys.stderr)
    if given.json:
        cli.emit(results)
        return
    for entry in results["images"]:
        frame = f", frame {entry['frame']:,}" if "frame" in entry else ""
        scores = ", ".join(f"{face['score']:.2f}" for face in entry["faces"])
        faces = "1 face" if len(entry["faces"]) == 1 else f"{len(entry['faces']):,} faces"
        print(printable(f"{entry['file']}{frame}: {faces}{f' ({scores})' if scores else ''}"))
    if given.out is not None:
        print(f"drawn and listed in {given.out}")


if __name__ == "__main__":
    cli.run(main)
