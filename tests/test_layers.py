"""Layers import only from layers below, checked in the source of every file without importing it."""

import ast
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent

LAYERS = (
    "errors",
    "core",
    "models",
    "counting",
    "detection",
    "data",
    "evaluation",
    "deployment",
    "training",
    "diagnosis",
    "tracking",
    "reporting",
    "search",
)
"""From the bottom up, one folder a row. On top stand the entry points: the files beside these that have a ``main``."""

BOTTOM = {"errors", "core"}
"""Plain data: needs nothing but Python. Spaces and studies import nothing else, except one another."""

FILES = sorted(path.relative_to(ROOT) for path in (ROOT / "harness").rglob("*.py"))
SPACES = sorted(path.relative_to(ROOT) for path in (ROOT / "search_spaces").glob("*.py"))
STUDIES = sorted(path.relative_to(ROOT) for path in (ROOT / "studies").glob("*.py"))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


@cache
def imports(path: Path) -> frozenset[str]:
    """Return the full names that a file imports anywhere, also inside functions and for type checking only."""
    found: set[str] = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute here"
            found |= {f"{node.module}.{name.name}" for name in node.names}
    return frozenset(found)


def third_party(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)} - {"harness"}


def units(path: Path) -> set[str]:
    """Return the names below ``harness`` that a file imports from."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("harness.")}


def unit(path: Path) -> str:
    return path.parts[1].removesuffix(".py")


def has_main(path: Path) -> bool:
    return any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree(path).body)


def layer(name: str) -> int:
    return LAYERS.index(name) if name in LAYERS else len(LAYERS)


def test_every_file_has_its_layer() -> None:
    assert set(LAYERS) <= {unit(path) for path in FILES}, "a layer names a folder that is gone"
    strays = [path for path in FILES if unit(path) not in {*LAYERS, "__init__", "cli"} and not has_main(path)]
    assert not strays, f"say in LAYERS where these stand: {strays}"


def test_the_root_holds_entry_points_only() -> None:
    root = {path.stem for path in FILES if len(path.parts) == 2}
    entries = {path.stem for path in FILES if len(path.parts) == 2 and has_main(path)}
    assert root - entries == {"__init__", "errors"}


def test_imports_point_down() -> None:
    for path in FILES:
        own = len(LAYERS) if path.name == "__main__.py" else layer(unit(path))
        # What a file that can be started shares with the others; no other file prints or exits.
        allowed = {"cli"} if has_main(path) else set()
        upward = {name for name in units(path) - allowed if layer(name) > own}
        assert not upward, f"{path} stands below {sorted(upward)}, which it imports"


def test_entry_points_do_not_import_each_other() -> None:
    entries = {unit(path) for path in FILES if has_main(path) and layer(unit(path)) == len(LAYERS)}
    for path in FILES:
        # The package names what it offers, wherever it lives, and loads it when it is used.
        allowed = entries if path.name == "__init__.py" and len(path.parts) == 2 else {unit(path)}
        assert not (units(path) & entries) - allowed, f"{path} imports another entry point"


def test_no_file_imports_itself_in_a_circle() -> None:
    modules = {".".join(path.with_suffix("").parts).removesuffix(".__init__"): path for path in FILES}
    graph = {
        name: {
            target
            for imported in imports(path)
            for target in (imported, imported.rpartition(".")[0])
            if target in modules and target not in (name, "harness")
        }
        for name, path in modules.items()
    }
    # A name taken from a submodule is no use of the package that holds it.
    graph = {name: {t for t in used if not any(o.startswith(f"{t}.") for o in used)} for name, used in graph.items()}
    assert list(TopologicalSorter(graph).static_order())


def test_third_party_packages_are_imported_only_in_their_layer() -> None:
    for path in FILES:
        used = third_party(path)
        assert "optuna" not in used or unit(path) == "search", f"{path}: only harness/search knows Optuna"
        assert "mlflow" not in used or unit(path) == "tracking", f"{path}: only harness/tracking knows MLflow"
        assert not used & {"onnx", "onnxruntime"} or unit(path) == "deployment", f"{path}: only deployment knows ONNX"
        assert "ray" not in used or unit(path) == "search", f"{path}: only harness/search knows Ray"
        assert not used & {"search_spaces", "studies"}, f"{path}: spaces and studies are found by name"
        if unit(path) in BOTTOM:
            assert used <= sys.stdlib_module_names, f"{path}: the bottom row needs nothing but Python"


def test_spaces_and_studies_are_data() -> None:
    for path in [*SPACES, *STUDIES]:
        assert units(path) <= BOTTOM, f"{path} may import {sorted(BOTTOM)}"
        assert third_party(path) <= sys.stdlib_module_names | {"search_spaces", "studies"}


def test_light_parts_load_nothing_heavy() -> None:
    light = ["harness.cli", "harness.models.registry", "harness.tracking"]
    light += sorted(".".join(path.with_suffix("").parts) for path in FILES if unit(path) in BOTTOM)
    script = f"import sys, {', '.join(light)}; print(*{{'torch', 'optuna', 'mlflow', 'pandas'}} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True, cwd=ROOT)
    assert loaded.stdout.split() == []
