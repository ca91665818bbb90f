"""What pip-audit answers: packages that it did not look up are not taken for sound ones."""

import json

import pytest

from tests.vulnerabilities import UnansweredError, vulnerable

SOUND = {"name": "numpy", "version": "2.4.1", "vulns": []}
HOLED = {"name": "torch", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.6"]}]}
UNKNOWN = {"name": "torch", "skip_reason": "Dependency not found on PyPI"}


def test_vulnerable_packages_are_named() -> None:
    assert vulnerable(json.dumps({"dependencies": [SOUND]})) == []
    assert vulnerable(json.dumps({"dependencies": [SOUND, HOLED]})) == ["torch 1.0: PYSEC-1, fixed in 2.6"]


def test_a_package_that_was_not_looked_up_is_no_sound_one() -> None:
    with pytest.raises(UnansweredError, match="not found on PyPI"):
        vulnerable(json.dumps({"dependencies": [SOUND, UNKNOWN]}))
