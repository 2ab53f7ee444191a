"""Lists of the service, page by page; nobody holds more than one page.

ListRequest and ListResponse are documented with every list, such as op=ListFlows: pages count from 0, and `items` is
empty past the last one.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from evocall import answers

PER_PAGE = 100  # items; a server may give fewer


class Reader(Protocol):
    """What lists need of `service.Service`."""

    def read(
        self, method: str, path: str, *, params: Mapping[str, str] | None = None, patience: float | None = None
    ) -> dict[str, Any]:
        """The JSON object that a request answers with."""
        ...


def items(
    service: Reader,
    path: str,
    params: Mapping[str, str],
    *,
    patience: float | None = None,
    seen: Callable[[int], None] = lambda _: None,
) -> Iterator[dict[str, Any]]:
    """All items of a list, one by one; `seen` is told how many there were after each page.

    Raises the EvocallError that says why a page did not come.
    """
    page, count = 0, 0
    before: list[Any] = []
    while True:
        asked = {"countPerPage": str(PER_PAGE), "simplifiedPaging": "true", **params, "page": str(page)}
        answer = service.read("GET", path, params=asked, patience=patience)
        found = [item for item in answers.as_list(answer.get("items")) if isinstance(item, dict)]
        # The list may move while it is read, and a server that does not know `page` gives the first one for ever.
        new = [item for item in found if _identity(item) not in before]
        if not new:
            return
        before = [_identity(item) for item in found]
        yield from new
        count += len(new)
        seen(count)
        page += 1
        total = answer.get("totalPages")
        if answer.get("hasMorePages") is False or (isinstance(total, int) and 0 < total <= page):
            return


def _identity(item: dict[str, Any]) -> Any:
    return item.get("id") or item
