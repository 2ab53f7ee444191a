"""A local server that answers like the Evo Voice service and rings nobody."""

from evocall.sandbox.accounts import Account
from evocall.sandbox.calls import Call, Ending
from evocall.sandbox.connection import Received
from evocall.sandbox.inventory import Flow
from evocall.sandbox.server import Sandbox

__all__ = ["Account", "Call", "Ending", "Flow", "Received", "Sandbox"]
