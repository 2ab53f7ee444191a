"""One request on its way through the service."""

from dataclasses import dataclass, field

from evocall.sandbox.answers import Delivery
from evocall.sandbox.connection import Received
from evocall.sandbox.fields import Fields
from evocall.sandbox.wire import Format


@dataclass(slots=True)
class Exchange:
    """What is known about a request so far, and what its answer shall carry besides the body."""

    request: Received
    format: Format
    query: Fields
    fields: Fields = field(default_factory=dict)
    username: str = ""
    cookies: tuple[str, ...] = ()
    delivery: Delivery = Delivery.WHOLE
