"""The routes that show calls, flows, numbers and accounts, and the one that ends a call."""

from evocall.sandbox.answers import Refusal, ServiceError
from evocall.sandbox.calls import Call, Calls
from evocall.sandbox.exchange import Exchange
from evocall.sandbox.inventory import COMPANIES, COMPANY_ID, Inventory, endpoint_info
from evocall.sandbox.paging import page_of, specific
from evocall.sandbox.routes import ADMINISTRATORS, EVERYBODY, Route
from evocall.sandbox.sessions import call_info, matching, session_info


class Reading:
    """Lists and single entries."""

    def __init__(self, calls: Calls, inventory: Inventory, *, manager_may_hang_up: bool) -> None:
        self._calls = calls
        self._inventory = inventory
        self._may_hang_up = ADMINISTRATORS if manager_may_hang_up else frozenset({"User"})

    def routes(self) -> list[Route]:
        """The routes and the roles they ask for."""
        get = ("GET",)
        session = "sessions/{}"
        return [
            Route("ListSessions", get, "sessions", self.sessions),
            Route("GetSession", get, session, self.session, variable="sessionid"),
            Route("EndSession", ("DELETE",), session, self.end_session, self._may_hang_up, "sessionid"),
            Route("GetActiveCalls", get, "calls/active", self.active_calls, ADMINISTRATORS),
            Route("ListFlows", get, "flows", self.flows, EVERYBODY),
            Route("GetFlow", get, "flows/{}", self.flow, EVERYBODY, "flowid"),
            Route("ListEndpoints", get, "endpoints", self.endpoints, EVERYBODY),
            Route("ListAccounts", get, "accounts", self.companies),
            Route("GetAccount", get, "accounts/{}", self.company, variable="accountid"),
        ]

    def sessions(self, exchange: Exchange) -> object:
        """Calls with their logs, newest first."""
        fields, now = exchange.fields, self._calls.clock()
        calls = specific(matching(self._calls.placed, fields), fields)
        if fields.get("sortorder", "").lower() == "ascend":
            calls = calls[::-1]
        return page_of(calls, fields, lambda call: session_info(call, now, with_log=True))

    def session(self, exchange: Exchange) -> object:
        """One call, without its log."""
        return session_info(self._call(exchange), self._calls.clock(), with_log=False)

    def end_session(self, exchange: Exchange) -> None:
        """Hang up."""
        self._calls.hang_up(self._call(exchange))

    def active_calls(self, exchange: Exchange) -> object:
        """Calls that ring or talk."""
        now = self._calls.clock()
        wanted = exchange.fields.get("accountid") or COMPANY_ID
        calls = list(self._calls.placed) if wanted == COMPANY_ID else []
        return {"calls": [call_info(call, now) for call in calls if not call.ended(now)]}

    def flows(self, exchange: Exchange) -> object:
        """Flows whose name contains `nameFilter`."""
        fields = exchange.fields
        text = fields.get("namefilter", "").lower()
        flows = [flow for flow in self._inventory.flows if text in flow.name.lower()]
        return page_of(specific(flows, fields), fields, lambda flow: flow.as_json())

    def flow(self, exchange: Exchange) -> object:
        """One flow."""
        flow = self._inventory.flow_by_id(exchange.fields["flowid"])
        if flow is None:
            raise _not_found("Flow")
        return flow.as_json()

    def endpoints(self, exchange: Exchange) -> object:
        """The owned phone numbers; there are no endpoints of other types."""
        fields = exchange.fields
        text = fields.get("phonenumberfilter") or fields.get("namefilter") or ""
        wanted = fields.get("type", "PhoneNumber").lower() == "phonenumber"
        numbers = [number for number in self._inventory.numbers if wanted and text in number]
        return page_of(numbers, fields, endpoint_info)

    def companies(self, exchange: Exchange) -> object:
        """What the service calls accounts."""
        fields = exchange.fields
        text = fields.get("namefilter", "").lower()
        companies = [company for company in COMPANIES if text in company.name.lower()]
        return page_of(specific(companies, fields), fields, lambda company: company.as_json())

    def company(self, exchange: Exchange) -> object:
        """One account."""
        for company in COMPANIES:
            if company.id == exchange.fields["accountid"]:
                return company.as_json()
        raise _not_found("Account")

    def _call(self, exchange: Exchange) -> Call:
        call = self._calls.find(exchange.fields["sessionid"])
        if call is None:
            raise _not_found("Session")
        return call


def _not_found(what: str) -> ServiceError:
    return ServiceError(Refusal(404, "NotFound", f"{what} not found"))
