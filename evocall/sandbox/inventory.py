"""What the sandbox's company owns: flows and phone numbers."""

import secrets
import zlib
from dataclasses import dataclass

COMPANY_ID = "5f0000000000000000000001"
COMPANY_NAME = "Example Company"
NUMBERS = ("+18145550190", "+18145550191", "+12025550192")
VIRTUAL_NUMBER = "+18145550199"


@dataclass(frozen=True, slots=True)
class Company:
    """What the service calls an account: the owner of flows, numbers and calls."""

    id: str
    name: str

    def as_json(self) -> dict[str, object]:
        """AccountInfo."""
        return {"id": self.id, "name": self.name, "isBYOA": False}


COMPANIES = (Company(COMPANY_ID, COMPANY_NAME), Company("5f0000000000000000000002", "Example Subsidiary"))


@dataclass(frozen=True, slots=True)
class Flow:
    """What runs when a call is answered; `customer` is the name of the customer it belongs to, if any."""

    id: str
    name: str
    customer: str = ""

    @property
    def customer_id(self) -> str:
        """The ID of the customer, empty without one."""
        return f"61c0{zlib.crc32(self.customer.encode()):020x}" if self.customer else ""

    def as_json(self) -> dict[str, object]:
        """FlowInfo."""
        info: dict[str, object] = {
            "id": self.id,
            "name": self.name,
            "roles": ["PhoneNumberRouting"],
            "accountId": COMPANY_ID,
            "accountName": COMPANY_NAME,
            "nodeCount": 3,
        }
        return info | {"customerId": self.customer_id, "customerName": self.customer} if self.customer else info


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A phone number; a virtual one is listed like the others, but nobody owns it."""

    number: str
    virtual: bool = False

    @property
    def id(self) -> str:
        """The ID that sessions name it by."""
        return endpoint_id(self.number)

    def as_json(self) -> dict[str, object]:
        """EndpointInfo."""
        return {
            "id": self.id,
            "displayName": self.number,
            "phoneNumber": self.number,
            "type": "PhoneNumber",
            "accountId": COMPANY_ID,
            "accountName": COMPANY_NAME,
            "isVirtualPhoneNumber": self.virtual,
        }


_FLOWS = (
    Flow("665f1c0000000000000000a1", "welcome"),
    Flow("665f1c0000000000000000aa", "alert"),
    Flow("665f1c0000000000000000a2", "reminder"),
    Flow("665f1c0000000000000000a3", "survey"),
    Flow("665f1c0000000000000000a4", "oncall"),
    Flow("665f1c0000000000000000d1", "duplicate"),
    Flow("665f1c0000000000000000d2", "duplicate", customer="North Branch"),
)


class Inventory:
    """The flows, with a quick way to find one, and the phone numbers."""

    def __init__(self, extra_flows: int) -> None:
        extra = (Flow(f"665f1d{n:018x}", f"flow {n:05d}") for n in range(1, extra_flows + 1))
        self.flows = (*_FLOWS, *extra)
        self.numbers = NUMBERS
        self.endpoints = (*map(Endpoint, NUMBERS), Endpoint(VIRTUAL_NUMBER, virtual=True))
        self._by_id = {flow.id: flow for flow in self.flows}

    def flow(self, flow_id: str) -> Flow | None:
        """The flow with this ID."""
        return self._by_id.get(flow_id.lower())

    def any_caller_id(self, callee: str) -> str:
        """An owned number, picked by chance, that is not the callee's own."""
        return secrets.choice([owned for owned in self.numbers if owned != callee])


def endpoint_id(number: str) -> str:
    """The ID of the endpoint that stands for a phone number."""
    return f"60e0{int(number):020x}"
