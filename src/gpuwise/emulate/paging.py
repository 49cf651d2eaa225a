"""Pages of a list: every page of one list shows the same version."""

import secrets
from collections import OrderedDict
from dataclasses import dataclass

from gpuwise.emulate.status import Object, expired

_KEPT = 64


@dataclass(frozen=True, slots=True)
class Page:
    """One answer to a list.

    Attributes:
        items: the objects.
        version: resourceVersion of the whole list.
        token: for the next page, "" on the last.
        remaining: objects after this page.
    """

    items: list[Object]
    version: int
    token: str
    remaining: int


class Pages:
    """Lists that somebody is still reading; the oldest expire."""

    def __init__(self) -> None:
        self._rest: OrderedDict[str, tuple[list[Object], int]] = OrderedDict()

    def first(self, items: list[Object], version: int, limit: int) -> Page:
        """Cut the first page; limit 0 means all."""
        if not limit or len(items) <= limit:
            return Page(items, version, "", 0)
        token = secrets.token_urlsafe(12)
        self._rest[token] = (items[limit:], version)
        while len(self._rest) > _KEPT:
            self._rest.popitem(last=False)
        return Page(items[:limit], version, token, len(items) - limit)

    def next(self, token: str, limit: int) -> Page:
        """Cut the next page.

        Raises:
            ApiFailure: 410, the token is no longer kept.
        """
        # A token stays good until it expires: a client may ask for the same page again after a broken connection.
        if token not in self._rest:
            raise expired("The provided continue parameter is too old to display a consistent list result.")
        items, version = self._rest[token]
        return self.first(items, version, limit)

    def expire(self) -> None:
        """Forget every list."""
        self._rest.clear()
