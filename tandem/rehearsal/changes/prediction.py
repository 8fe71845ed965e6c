"""Hold what ``tandem diff`` foretold of an update against what CloudFormation then did."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from tandem.changes.consequence import Consequence
from tandem.changes.rolling import REVISIONS
from tandem.rehearsal.deploy.events import Key

_LOST: Final = frozenset({"UPDATE", "DELETE", "DELETE_SKIPPED"})
_ACTIONS: Final[Mapping[str, frozenset[str]]] = {
    Consequence.DATA_AT_RISK: _LOST,
    Consequence.LEFT_BEHIND: _LOST,
    Consequence.REMOVAL: frozenset({"DELETE"}),
    Consequence.REPLACEMENT: frozenset({"UPDATE"}),
    Consequence.ROLLING: frozenset({"UPDATE"}),
    Consequence.IN_PLACE: frozenset({"UPDATE"}),
    Consequence.CREATION: frozenset({"CREATE"}),
}
"""What an update may do to a resource of which diff says this; to one that diff does not name, nothing."""
_STAYS: Final = frozenset({Consequence.ROLLING, Consequence.IN_PLACE})

Row = Mapping[str, str]
"""One of ``changes`` in the JSON of ``tandem diff``."""


def differences(
    predicted: Sequence[Row], done: Mapping[Key, str], before: Mapping[Key, str], after: Mapping[Key, str]
) -> list[str]:
    """Return where actions on resources, and their physical ids before and after, are other than foretold."""
    rows = {(row["stack"], row["logical_id"]): row for row in predicted}
    return [
        *_unlike(rows, done),
        *(f"{'/'.join(key)}: {done[key]} was not foretold" for key in done.keys() - rows.keys()),
        *_moved(rows, before, after),
    ]


def _unlike(rows: Mapping[Key, Row], done: Mapping[Key, str]) -> Iterator[str]:
    for key, row in rows.items():
        if done.get(key) not in _ACTIONS[row["consequence"]]:
            yield f"{'/'.join(key)}: foretold {row['consequence']}, done {done.get(key, 'nothing')}"


def _moved(rows: Mapping[Key, Row], before: Mapping[Key, str], after: Mapping[Key, str]) -> Iterator[str]:
    for key, row in rows.items():
        stays = row["consequence"] in _STAYS and row["type"] not in REVISIONS
        if stays and before.get(key) != after.get(key):
            yield f"{'/'.join(key)}: foretold {row['consequence']}, and became another: {after.get(key)}"
