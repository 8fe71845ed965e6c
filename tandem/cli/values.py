"""Read the values of options; what is none is argparse's ``ArgumentTypeError``, which ends with status 2."""

from __future__ import annotations

import argparse


def positive(text: str) -> int:
    """Return a positive whole number."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"got {text!r}, a positive whole number is needed")
    return int(text)


def limit(text: str) -> int:
    """Return a tenant's limit, 0 for none of one's own."""
    return 0 if text == "none" else positive(text)


def duration(text: str) -> float:
    """Return seconds, of ``2s`` or ``2ms``."""
    from tandem.plan.targets import duration

    try:
        return duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def price(text: str) -> float:
    """Return USD."""
    return _between(text, 0.0, "USD from 0 to a million are needed")


def senders(text: str) -> int:
    """Return how many tenants share a trace's requests."""
    if not (text.isascii() and text.isdecimal() and 0 < int(text) <= 10_000):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of tenants: 1 to 10000 are allowed")
    return int(text)


def hours(text: str) -> float:
    """Return the mean hours between two failures."""
    return _between(text, 1e-3, "hours from 0.001 to a million are needed")


def _between(text: str, least: float, needed: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not least <= number <= 1e6:
        raise argparse.ArgumentTypeError(f"got {text!r}, {needed}")
    return number
