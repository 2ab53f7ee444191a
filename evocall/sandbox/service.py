"""From request to answer: find the route, read the fields, sign in, check the role, do the work, write it down."""

from http import HTTPStatus
from urllib.parse import quote

from evocall.sandbox.accounts import SignIns
from evocall.sandbox.answers import Answer, Refusal, ServiceError
from evocall.sandbox.connection import Received
from evocall.sandbox.exchange import Exchange
from evocall.sandbox.fields import body_fields, query_fields
from evocall.sandbox.routes import Match, Route, Routes
from evocall.sandbox.wire import Format, in_html, in_json, in_xml, negotiated

_NO_ROUTE = Answer(404, "Not Found", b"404", "text/plain; charset=utf-8")
_NO_HEAD = Answer(405, "Method Not Allowed")
_NO_LENGTH = Answer(411, "Length Required", b"<h1>Length Required</h1>", "text/html; charset=utf-8")
_WRONG_VERB = Refusal(405, "NotImplementedException", "This operation does not answer to this verb")
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_VERBS = ("GET", "POST", "DELETE")


class Service:
    """Answers requests in the order measured on ServiceStack 5.9.1 on Mono."""

    def __init__(self, routes: Routes, sign_ins: SignIns) -> None:
        self._routes = routes
        self._sign_ins = sign_ins

    def match(self, request: Received) -> Match | None:
        """The route a request goes to, X-Http-Method-Override honoured."""
        return self._routes.find(_verb(request), request.path)

    def answer(self, request: Received) -> Answer:
        """The answer to a request, whatever the request is."""
        if request.method in _WITH_BODY and not request.chunked and request.header("content-length") is None:
            return _NO_LENGTH
        match = self.match(request)
        if match is None:
            return self._no_route(request)
        query = query_fields(request.path.partition("?")[2])
        chosen = negotiated(request, _verb(request), match.suffix or query.get("format"))
        exchange = Exchange(request, chosen, query)
        try:
            body = self._result(match, exchange)
        except ServiceError as error:
            return _refused(exchange, error.refusal)
        except Exception as error:  # as the service does: whatever is thrown becomes a 500
            return _refused(exchange, Refusal(500, type(error).__name__, str(error)))
        if body is None:
            return _finished(exchange, Answer(204, "No Content"))
        return _written(exchange, Answer(200, "OK"), body, match.route.operation)

    def _result(self, match: Match, exchange: Exchange) -> object:
        exchange.fields = body_fields(exchange.request) | exchange.query | match.variables
        self._admit(match.route, exchange)
        return match.route.handler(exchange)

    def _admit(self, route: Route, exchange: Exchange) -> None:
        if route.roles is None:
            return
        identity = self._sign_ins.identify(exchange.request)
        exchange.cookies = identity.cookies
        page = exchange.format is Format.HTML
        if identity.refusal:
            raise ServiceError(identity.refusal)
        if identity.account is None:
            target = f"/login?redirect={quote(exchange.request.path, safe='')}"
            raise ServiceError(_redirect(target) if page else self._sign_ins.unauthorized)
        if route.roles and route.roles.isdisjoint(identity.account.roles):
            raise ServiceError(_redirect("/login") if page else Refusal(403, reason="Invalid Role"))
        exchange.username = identity.account.username

    def _no_route(self, request: Received) -> Answer:
        path = request.path
        if _verb(request) == "HEAD" and self._routes.find("GET", path):
            return _NO_HEAD
        others = (self._routes.find(verb, path) for verb in _VERBS)
        reply = next((match for match in others if match and match.reply), None)
        if reply is None:
            return _NO_ROUTE
        return _refused(Exchange(request, Format.JSON, {}), _WRONG_VERB)


def _verb(request: Received) -> str:
    return (request.header("x-http-method-override") or request.method).upper()


def _redirect(target: str) -> Refusal:
    return Refusal(302, reason="Found", headers=(("Location", target),))


def _refused(exchange: Exchange, refusal: Refusal) -> Answer:
    answer = Answer(refusal.status, refusal.phrase, headers=list(refusal.headers))
    if refusal.page:
        answer.body, answer.content_type = refusal.page.encode(), Format.HTML.value
        return _finished(exchange, answer)
    if not refusal.code:
        return _finished(exchange, answer)
    if exchange.format is Format.HTML and refusal.status == HTTPStatus.NOT_FOUND:
        answer.body = f"Error ({refusal.code}): {refusal.message}".encode()
        answer.content_type = "text/plain; charset=utf-8"
        return _finished(exchange, answer)
    return _written(exchange, answer, refusal.as_json(), "Error")


def _written(exchange: Exchange, answer: Answer, body: object, operation: str) -> Answer:
    chosen, callback = exchange.format, exchange.query.get("callback")
    answer.content_type = chosen.value or None
    if chosen is Format.JSON:
        text = in_json(body, iso="dh:iso8601" in exchange.query.get("jsconfig", "").lower())
        if callback:
            text = f"{callback}({text})"
            answer.content_type = "text/javascript; charset=utf-8"
        answer.body = text.encode()
    elif chosen is Format.XML:
        answer.body = in_xml(body, f"{operation}Response").encode()
    elif chosen is Format.HTML:
        answer.body = in_html(body, operation).encode()
    return _finished(exchange, answer)


def _finished(exchange: Exchange, answer: Answer) -> Answer:
    answer.headers += [("Set-Cookie", cookie) for cookie in exchange.cookies]
    answer.delivery = exchange.delivery
    return answer
