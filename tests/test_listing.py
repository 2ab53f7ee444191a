"""Lists of the service, page by page, from a real sandbox and from servers with ideas of their own."""

import json

import pytest

from evocall import listing
from evocall.errors import Forbidden, Unavailable
from evocall.model import Credential, Profile
from evocall.sandbox import Sandbox
from evocall.service import Service
from tests.faultserver import FaultServer, answering, http, silent


@pytest.fixture
def service_at():
    """The API at an address, signed in as somebody whom every server of this file knows."""
    opened = []

    def signed_in(base_url, account=None):
        username, password = (account.username, account.password) if account else ("ops@example.com", "rings-nobody")
        opened.append(Service(Profile("test", base_url, username), Credential(username, password, "the test")))
        return opened[-1]

    yield signed_in
    for service in opened:
        service.close()


@pytest.fixture
def listed(service_at):
    """The items that these answers come to, and the stopped server; the last answer is given again and again."""

    def run(*answers, **options):
        pages = [http("200 OK", json.dumps(answer).encode()) for answer in answers]
        with FaultServer(*map(answering, pages)) as server:
            return list(listing.items(service_at(server.base_url), "/things", {}, **options)), server

    return run


def ids(items):
    """The IDs of some items."""
    return [item["id"] for item in items]


def things(*names, **more):
    """A page with these items."""
    return {"items": [{"id": name} for name in names], **more}


def asked(server):
    """The query of each request that a server saw."""
    return [request.head.split(b" ")[1].partition(b"?")[2].decode() for request in server.requests]


def test_all_pages_come_in_their_order(service_at):
    """67 flows at no more than 25 a page, however many are asked for at once."""
    with Sandbox(extra_flows=60, most_per_page=25) as sandbox:
        seen = []
        items = listing.items(service_at(sandbox.base_url, sandbox.manager), "/flows", {}, seen=seen.append)
        assert ids(items) == [flow.id for flow in sandbox.flows]
        assert (seen, len(sandbox.requests)) == ([25, 50, 67], 3)


def test_a_page_is_asked_for_when_somebody_wants_it(service_at):
    """Nothing is asked before the first item is taken, and a search that is over leaves the rest alone."""
    with Sandbox(extra_flows=60, most_per_page=25) as sandbox:
        items = listing.items(service_at(sandbox.base_url, sandbox.manager), "/flows", {})
        assert sandbox.requests == []
        for _ in range(25):
            next(items)
        assert len(sandbox.requests) == 1
        next(items)
        assert len(sandbox.requests) == 2


def test_filters_go_along_with_every_page(listed):
    """Pages count from 0."""
    _, server = listed(things("a", hasMorePages=True), things("b", hasMorePages=False))
    assert asked(server) == [f"countPerPage=100&simplifiedPaging=true&page={page}" for page in (0, 1)]


@pytest.mark.parametrize(
    ("answers", "expected", "requests"),
    [
        pytest.param([things("a", hasMorePages=False)], ["a"], 1, id="no more pages"),
        pytest.param([things("a", totalPages=2), things("b", totalPages=2)], ["a", "b"], 2, id="total pages"),
        pytest.param([things("a"), things("b"), things()], ["a", "b"], 3, id="nothing told"),
        pytest.param([things("a", totalPages=0), things()], ["a"], 2, id="a total that cannot be"),
        pytest.param([things("a", hasMorePages="x", totalPages="y"), things()], ["a"], 2, id="words for numbers"),
        pytest.param([things("a", "b")], ["a", "b"], 2, id="always the first page"),
        pytest.param([things("a", "b"), things("b", "c"), things()], ["a", "b", "c"], 3, id="pages that move"),
    ],
)
def test_a_list_ends_where_the_service_says_or_where_nothing_new_comes(listed, answers, expected, requests):
    """How it says so is not documented well."""
    items, server = listed(*answers)
    assert (ids(items), len(server.requests)) == (expected, requests)


def test_a_server_that_knows_no_pages_does_not_keep_us_for_ever(listed):
    """It gives the first page for each, and what it lists goes on living in between."""
    living = [{"items": [{"id": "a", "steps": steps}]} for steps in range(20)]
    items, server = listed(*living, {"items": []})
    assert ids(items) == ["a"]
    assert len(server.requests) == 2


@pytest.mark.parametrize("items", [None, "words", {"id": "a"}, 7])
def test_items_that_are_no_list_are_none(listed, items):
    assert listed({"items": items})[0] == []


def test_an_answer_without_items_has_none(listed):
    """The empty answer, too."""
    assert listed({})[0] == []
    assert listed(None)[0] == []


def test_only_objects_are_items(listed):
    answer = {"items": [None, 7, "words", ["id"], {"id": "a"}], "hasMorePages": False}
    assert listed(answer)[0] == [{"id": "a"}]


def test_a_page_that_does_not_come_is_an_error(service_at):
    """What came before it has been given; half a list is never taken for a whole one."""
    first = http("200 OK", json.dumps(things("a", hasMorePages=True)).encode())
    with FaultServer(answering(first), answering(http("503 Service Unavailable"))) as server:
        items = listing.items(service_at(server.base_url), "/things", {})
        assert next(items) == {"id": "a"}
        with pytest.raises(Unavailable):
            next(items)


def test_a_refused_list_is_an_error(service_at):
    with Sandbox() as sandbox:
        items = listing.items(service_at(sandbox.base_url, sandbox.customer), "/calls/active", {})
        with pytest.raises(Forbidden):
            next(items)


def test_patience_ends_the_wait_for_a_page(service_at):
    with FaultServer(silent) as server:
        items = listing.items(service_at(server.base_url), "/things", {}, patience=0.1)
        with pytest.raises(Unavailable) as caught:
            next(items)
    assert caught.value.code == "timeout"
