"""A table's file: equal bytes for equal content, and refusals."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.core.table import Table, Trained
from harness.errors import DataError, InputError
from tests import fake_table

TABLE = fake_table.table(fake_table.SMALL, networks=3)


def test_what_is_read_is_what_was_written_byte_by_byte(tmp_path: Path) -> None:
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    TABLE.save(one)
    read = Table.load(one)
    assert read == TABLE
    read.save(other)
    assert one.read_bytes() == other.read_bytes()


def test_every_network_is_a_line_with_sorted_keys(tmp_path: Path) -> None:
    TABLE.save(tmp_path / "table.json")
    head, *rows, last = (tmp_path / "table.json").read_text(encoding="utf-8").splitlines()
    assert last == "]}"
    assert len(rows) == 3
    for line in (f"{head}]}}", *(row.rstrip(",") for row in rows)):
        content = json.loads(line)
        content.pop("networks", None)
        assert list(content) == sorted(content)
    reordered = replace(TABLE.networks[0], parts=dict(reversed(TABLE.networks[0].parts.items())))
    replace(TABLE, networks=(reordered, *TABLE.networks[1:])).save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "table.json").read_bytes()


def test_a_failed_training_has_no_ap() -> None:
    network = TABLE.networks[0]
    first, second = network.trainings
    assert set(network.aps) == set(fake_table.SEEDS)
    failed = replace(network, trainings=(replace(first, state="failed", reason="diverged"), second))
    assert failed.aps == {second.seed: second.search["mean"]}
    assert Trained(1, "failed").aps is None


def test_a_missing_table_is_refused_with_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no table .*none\.json: make it with python -m benchmarks\.tabular"):
        Table.load(tmp_path / "none.json")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"version": 1}', '{"version": 1, "networks": [{}]}'])
def test_another_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "table.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="is not a readable table"):
        Table.load(path)


def test_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    TABLE.save(path)
    path.write_text(path.read_text(encoding="utf-8").replace('"version":1', '"version":9'), encoding="utf-8")
    with pytest.raises(DataError, match="version 9, not 1"):
        Table.load(path)
