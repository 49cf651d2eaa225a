"""The executor for small fleets: this process."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class InProcess:
    """The `Executor` port; it processes one item after another."""

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """See the port."""
        return (function(item) for item in items)
