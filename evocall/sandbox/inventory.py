"""What the sandbox's company owns: flows and phone numbers."""

from dataclasses import dataclass

COMPANY_ID = "5f0000000000000000000001"
COMPANY_NAME = "Example Company"
NUMBERS = ("+18145550190", "+18145550191", "+12025550192")


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
    """What runs when a call is answered."""

    id: str
    name: str

    def as_json(self) -> dict[str, object]:
        """FlowInfo."""
        return {
            "id": self.id,
            "name": self.name,
            "roles": ["PhoneNumberRouting"],
            "accountId": COMPANY_ID,
            "accountName": COMPANY_NAME,
            "nodeCount": 3,
        }


_FLOWS = (
    Flow("665f1c0000000000000000a1", "welcome"),
    Flow("665f1c0000000000000000aa", "alert"),
    Flow("665f1c0000000000000000a2", "reminder"),
    Flow("665f1c0000000000000000a3", "survey"),
    Flow("665f1c0000000000000000a4", "oncall"),
    Flow("665f1c0000000000000000d1", "duplicate"),
    Flow("665f1c0000000000000000d2", "duplicate"),
)


class Inventory:
    """The flows, with a quick way to find one, and the owned numbers."""

    def __init__(self, extra_flows: int) -> None:
        extra = (Flow(f"665f1d{n:018x}", f"flow {n:05d}") for n in range(1, extra_flows + 1))
        self.flows = (*_FLOWS, *extra)
        self.numbers = NUMBERS
        self._by_id = {flow.id: flow for flow in self.flows}
        self._by_name = {flow.name: flow for flow in reversed(self.flows)}

    def flow(self, id_or_name: str) -> Flow | None:
        """The flow with this ID, or the first one with this name."""
        return self._by_id.get(id_or_name.lower()) or self._by_name.get(id_or_name)

    def flow_by_id(self, flow_id: str) -> Flow | None:
        """The flow with this ID."""
        return self._by_id.get(flow_id.lower())


def endpoint_info(number: str) -> dict[str, object]:
    """An owned number as EndpointInfo."""
    return {
        "id": endpoint_id(number),
        "displayName": number,
        "phoneNumber": number,
        "type": "PhoneNumber",
        "accountId": COMPANY_ID,
        "accountName": COMPANY_NAME,
        "isVirtualPhoneNumber": False,
    }


def endpoint_id(number: str) -> str:
    """The ID of the endpoint that stands for an owned number."""
    return f"60e0{int(number):020x}"
