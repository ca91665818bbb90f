"""Faults on purpose: a study is disturbed again and again, and must end as it ends undisturbed."""
