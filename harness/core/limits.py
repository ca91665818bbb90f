"""What every setting must be: in bounds, and safe where it names a folder."""

from typing import Any

from harness.errors import InputError

LARGEST_SIDE = 8_192
"""Largest side of an image that a network sees, pixels."""

LARGEST_SEED = 2**32 - 1

_MOST = {
    "size": LARGEST_SIDE,
    "eval_side": LARGEST_SIDE,
    "train_images": 10_000_000,
    "search_images": 10_000_000,
    "val_images": 10_000_000,
    "landmark_images": 10_000_000,
    "epochs": 100_000,
    "batch": 65_536,
    "trials": 1_000_000,
    "window": 1_000_000,
    "seeds": 1_000,
    "macs_size": 100_000,
}
"""Field → largest value; a larger one is a slip that would fill memory or disk."""

LONGEST_NAME = 100
"""Characters; file systems take 255, of which suffixes need some."""


def require(condition: bool, message: str) -> None:
    """Refuse a setting.

    Raises:
        InputError: ``condition`` is false.
    """
    if not condition:
        raise InputError(message)


def require_bounded(config: Any) -> None:
    """Refuse a configuration whose fields have larger values than any that can be meant.

    Raises:
        InputError: names the field, the value and the largest one.
    """
    for name, most in _MOST.items():
        value = getattr(config, name, 0)
        require(value <= most, f"{name} must be at most {most:,}, got {value:,}")
    seed = getattr(config, "seed", 0)
    require(0 <= seed <= LARGEST_SEED, f"seed lies in 0 … {LARGEST_SEED:,}, got {seed:,}")


def check_name(name: str, what: str) -> None:
    """Refuse a name that is unsafe as the name of a folder.

    Raises:
        InputError: ``name`` is empty or too long, begins with '-', or has characters other than ASCII letters, digits,
            '_' and '-'. The message calls it ``what``.
    """
    safe = name and name.isascii() and all(c.isalnum() or c in "_-" for c in name) and name[0] != "-"
    shown = name if len(name) <= LONGEST_NAME else f"{name[:20]}…"
    require(bool(safe), f"{what} holds letters, digits, '_' and '-' only, and begins with no '-', got '{shown}'")
    require(len(name) <= LONGEST_NAME, f"{what} has at most {LONGEST_NAME} characters, got {len(name):,}: '{shown}'")
