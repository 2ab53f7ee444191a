"""The routes that show calls, flows, numbers and accounts, and the one that ends a call."""

from collections.abc import Callable, Sequence

from evocall.sandbox.answers import Refusal, ServiceError
from evocall.sandbox.calls import Call, Calls
from evocall.sandbox.exchange import Exchange
from evocall.sandbox.fields import Fields
from evocall.sandbox.inventory import COMPANIES, COMPANY_ID, Inventory
from evocall.sandbox.listing import Sessions
from evocall.sandbox.paging import Identified, among, page_of, specific
from evocall.sandbox.routes import ADMINISTRATORS, EVERYBODY, Route
from evocall.sandbox.sessions import call_info


class Reading:
    """Lists and single entries."""

    def __init__(
        self,
        calls: Calls,
        sessions: Sessions,
        inventory: Inventory,
        *,
        manager_may_hang_up: bool,
        most_per_page: int | None,
    ) -> None:
        self._calls = calls
        self._sessions = sessions
        self._inventory = inventory
        self._most_per_page = most_per_page
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
        calls = self._sessions.matching(fields, now)
        if fields.get("sortorder", "").lower() == "ascend":
            calls.reverse()
        return self._page(calls, fields, lambda call: self._sessions.info(call, now, with_log=True))

    def session(self, exchange: Exchange) -> object:
        """One call, without its log."""
        now = self._calls.clock()
        return self._sessions.info(self._call(exchange, now), now, with_log=False)

    def end_session(self, exchange: Exchange) -> None:
        """Hang up."""
        self._calls.hang_up(self._call(exchange, self._calls.clock()))

    def active_calls(self, exchange: Exchange) -> object:
        """Calls that ring or talk."""
        now = self._calls.clock()
        wanted = exchange.fields.get("accountid") or COMPANY_ID
        calls = list(self._calls.placed) if wanted == COMPANY_ID else []
        return {"calls": [call_info(call, now) for call in calls if not call.ended(now)]}

    def flows(self, exchange: Exchange) -> object:
        """Flows by part of their name, by account and by customer."""
        fields = exchange.fields
        text = fields.get("namefilter", "").lower()
        flows = [
            flow
            for flow in (self._inventory.flows if among(fields, "accountids", COMPANY_ID) else ())
            if text in flow.name.lower() and among(fields, "customerids", flow.customer_id)
        ]
        return self._page(flows, fields, lambda flow: flow.as_json())

    def flow(self, exchange: Exchange) -> object:
        """One flow."""
        flow = self._inventory.flow(exchange.fields["flowid"])
        if flow is None:
            raise _not_found("Flow")
        return flow.as_json()

    def endpoints(self, exchange: Exchange) -> object:
        """The phone numbers, virtual ones included; there are no endpoints of other types."""
        fields = exchange.fields
        types = {name: fields.get(name, "").lower() for name in ("type", "types")}
        wanted = all(among(types, name, "phonenumber") for name in types) and among(fields, "accountids", COMPANY_ID)
        texts = fields.get("namefilter", ""), fields.get("phonenumberfilter", "")
        endpoints = [
            endpoint
            for endpoint in (self._inventory.endpoints if wanted else ())
            if all(text in endpoint.number for text in texts)
        ]
        return self._page(endpoints, fields, lambda endpoint: endpoint.as_json())

    def companies(self, exchange: Exchange) -> object:
        """What the service calls accounts."""
        fields = exchange.fields
        text = fields.get("namefilter", "").lower()
        companies = [company for company in COMPANIES if text in company.name.lower()]
        return self._page(companies, fields, lambda company: company.as_json())

    def company(self, exchange: Exchange) -> object:
        """One account."""
        for company in COMPANIES:
            if company.id == exchange.fields["accountid"]:
                return company.as_json()
        raise _not_found("Account")

    def _call(self, exchange: Exchange, now: float) -> Call:
        call = self._sessions.find(exchange.fields["sessionid"], now)
        if call is None:
            raise _not_found("Session")
        return call

    def _page(
        self, rows: Sequence[Identified], fields: Fields, as_json: Callable[[Identified], dict[str, object]]
    ) -> object:
        return page_of(specific(rows, fields), fields, as_json, self._most_per_page)


def _not_found(what: str) -> ServiceError:
    return ServiceError(Refusal(404, "NotFound", f"{what} not found"))
