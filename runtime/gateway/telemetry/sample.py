"""Keep a fair sample of what there is too much of."""

from __future__ import annotations

import random
from typing import Generic, TypeVar

_Item = TypeVar("_Item")


class Sample(Generic[_Item]):
    """Hold at most ``size`` of the items offered, each with the same chance (Vitter's algorithm R)."""

    def __init__(self, size: int) -> None:
        self.items: list[_Item] = []
        self._size = size
        self._seen = 0

    def offer(self, item: _Item) -> None:
        """Take the item in, perhaps in place of another, or let it go."""
        self._seen += 1
        if len(self.items) < self._size:
            self.items.append(item)
        elif (index := int(random.random() * self._seen)) < self._size:  # noqa: S311 - a statistic
            self.items[index] = item
