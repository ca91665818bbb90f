"""The records of published reports: a small archive beside each, from which anyone makes the same report again."""

from harness.reporting.records.archive import RECORDS
from harness.reporting.records.check import Checked, check, published
from harness.reporting.records.making import COMPARISON, Recipe, publish, renew

__all__ = ["COMPARISON", "RECORDS", "Checked", "Recipe", "check", "publish", "published", "renew"]
