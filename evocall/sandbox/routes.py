"""Which paths there are, and how the many spellings of a path come down to one."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

from evocall.sandbox.exchange import Exchange
from evocall.sandbox.wire import NAMED

Handler = Callable[[Exchange], object]

ADMINISTRATORS = frozenset({"Manager", "SystemAdministrator"})
EVERYBODY = ADMINISTRATORS | {"Customer"}
DIAL = "NewOutgoingSession"


@dataclass(frozen=True, slots=True)
class Route:
    """One operation: its verbs and path, whose last part may be a variable, and who may use it."""

    operation: str
    verbs: tuple[str, ...]
    path: str
    handler: Handler
    roles: frozenset[str] | None = frozenset()
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """The route a request goes to, what its path says, and the format its suffix names."""

    route: Route
    variables: dict[str, str]
    suffix: str | None = None
    reply: bool = False


class Routes:
    """Finds routes by verb and path. `roles` None on a route: no sign-in needed; empty: any account."""

    def __init__(self, routes: list[Route]) -> None:
        self._by_path = {(verb, route.path): route for route in routes for verb in route.verbs}
        self._fixed = {route.path for route in routes if not route.variable}
        self._replies = {route.operation.lower(): route for route in routes}

    def find(self, verb: str, path: str) -> Match | None:
        """The route for this verb and path, however the path is spelled."""
        parts = _parts(path)
        if len(parts) == _REPLY_PARTS and parts[0] in NAMED and parts[1] == "reply":
            route = self._replies.get(parts[2])
            return Match(route, {}, parts[0], reply=True) if route and verb in route.verbs else None
        match = self._lookup(verb, parts)
        stem, dot, suffix = parts[-1].rpartition(".") if parts else ("", "", "")
        if match is None and dot and suffix in NAMED:
            return self._lookup(verb, [*parts[:-1], stem], suffix)
        return match

    def _lookup(self, verb: str, parts: list[str], suffix: str | None = None) -> Match | None:
        path = "/".join(parts)
        if path in self._fixed:
            fixed = self._by_path.get((verb, path))
            return Match(fixed, {}, suffix) if fixed else None
        route = self._by_path.get((verb, "/".join([*parts[:-1], "{}"])))
        if route is None or "." in parts[-1]:
            return None
        return Match(route, {route.variable: parts[-1]}, suffix)


_REPLY_PARTS = 3


def _parts(path: str) -> list[str]:
    path = path.partition("?")[0]
    if "%" in path:
        path = unquote(path)
    return [part for part in path.lower().split("/") if part]
