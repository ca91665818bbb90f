"""``make vulnerabilities``: asks PyPI, by pip-audit, for known vulnerabilities of the versions in ``constraints.txt``.

Exit code 1 if there are any. Without a network, or behind an index that knows none, it says so and exits with 0:
pip-audit would report "no known vulnerabilities" for packages that the index does not know.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.errors import first_line

CONSTRAINTS = Path(__file__).parent.parent / "constraints.txt"
_SECONDS = 600


class UnansweredError(Exception):
    """PyPI did not answer; the message is the reason."""


def main() -> int:
    """Ask for one package first: an index that does not know it is not asked for the others."""
    wanted = [line for line in CONSTRAINTS.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    try:
        found = vulnerable(_ask([f"pip-audit=={version('pip-audit')}"])) + vulnerable(_ask(wanted))
    except UnansweredError as error:
        print(f"skipped: PyPI gives no answer on vulnerabilities here ({error})")
        return 0
    for line in found:
        print(line)
    print(f"{len(wanted):,} packages, {len(found):,} with known vulnerabilities")
    return int(bool(found))


def _ask(requirements: Sequence[str]) -> str:
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(requirements))
        file.flush()
        command = [sys.executable, "-m", "pip_audit", "--requirement", file.name, "--no-deps", "--disable-pip"]
        command += ["--format", "json", "--progress-spinner", "off"]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise UnansweredError(first_line(error)) from error
    if not done.stdout.strip():
        raise UnansweredError(([*done.stderr.strip().splitlines()] or ["pip-audit printed no reason"])[-1])
    return done.stdout


def vulnerable(answer: str) -> list[str]:
    """Return one line for each package with vulnerabilities in pip-audit's JSON.

    Raises:
        UnansweredError: a package was not looked up.
    """
    packages: list[dict[str, Any]] = json.loads(answer)["dependencies"]
    skipped = [package["skip_reason"] for package in packages if "skip_reason" in package]
    if skipped:
        raise UnansweredError(skipped[0])
    return [_line(package) for package in packages if package["vulns"]]


def _line(package: dict[str, Any]) -> str:
    names = ", ".join(one["id"] for one in package["vulns"])
    fixed = sorted({fix for one in package["vulns"] for fix in one["fix_versions"]})
    return f"{package['name']} {package['version']}: {names}, fixed in {', '.join(fixed) or 'no version'}"


if __name__ == "__main__":
    sys.exit(main())
