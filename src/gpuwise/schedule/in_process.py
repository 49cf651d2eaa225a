"""The executor for small fleets: this process."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class InProcess:
    """The `Executor` port; it processes one item after another."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        *,
        same: Callable[[], Mapping[str, str]] | None = None,  # noqa: ARG002 - one machine is equal to itself
    ) -> Iterator[Result]:
        """See the port."""
        return (function(item) for item in items)
