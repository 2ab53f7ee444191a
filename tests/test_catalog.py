"""Flows by their exact names and the account's numbers, from a real sandbox and from servers with less to tell."""

import json
import tracemalloc
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import pytest

from evocall import catalog
from evocall.errors import Forbidden, NotFound, UsageError
from evocall.model import Flow
from evocall.sandbox import Account, Sandbox
from tests.faultserver import FaultServer, answering, http


@pytest.fixture
def served(service_at):
    """What a function makes of the API of a server whose lists come in these pages; the last one is empty."""

    def run(function, *pages):
        answers = [http("200 OK", json.dumps({"items": page}).encode()) for page in (*pages, [])]
        with FaultServer(*map(answering, answers)) as server:
            return function(service_at(server.base_url))

    return run


def named(*names):
    """A page of flows; their IDs are A, B, C."""
    return [{"id": id_, "name": name} for id_, name in zip("ABC", names, strict=False)]


# flows by name


def test_a_flow_is_found_by_its_name(sandbox, service):
    """With one request, which lets the service do the searching."""
    assert catalog.flow_named(service, "alert").id == "665f1c0000000000000000aa"
    (request,) = sandbox.requests
    assert request.path.startswith("/flows?")
    assert "nameFilter=alert" in request.path


def test_only_the_whole_name_is_a_name(served):
    """However many others contain it, and wherever it stands among them."""
    pages = named("alert night", "alerts"), [{"id": "Z", "name": "alert"}, {"id": "Y", "name": " alert"}]
    assert served(lambda service: catalog.flow_named(service, "alert"), *pages).id == "Z"


@pytest.mark.parametrize(
    "name", ["Tag & Nacht: 50 %", "a+b?c=d#e", "déjà vu", "../accounts", "'quoted' \"twice\"", "日本"]
)
def test_a_name_may_hold_anything(service_at, name):
    """It arrives at the service as it was typed."""
    with FaultServer(answering(http("200 OK", json.dumps({"items": named(name)}).encode()))) as server:
        assert catalog.flow_named(service_at(server.base_url), name).id == "A"
    address = urlsplit(server.requests[0].head.split(b" ")[1].decode())
    assert (address.path, parse_qs(address.query)["nameFilter"]) == ("/flows", [name])


@pytest.mark.parametrize("name", ["Alert", "alert ", " alert", "ALERT"])
def test_capitals_and_blanks_count_and_the_nearest_name_is_offered(service, name):
    with pytest.raises(NotFound) as caught:
        catalog.flow_named(service, name)
    assert (caught.value.code, caught.value.exit_code) == ("no_such_flow", 5)
    assert "Did you mean 'alert'?" in str(caught.value)


def test_the_three_nearest_names_are_offered_best_first(service_at):
    with Sandbox(extra_flows=9) as sandbox, pytest.raises(NotFound, match=r"mean 'flow 00001' or 'flow 0") as caught:
        catalog.flow_named(service_at(sandbox.base_url), "flow 0001")
    assert str(caught.value).count("flow 0000") == 3


def test_one_name_of_several_flows_is_offered_once(service):
    with pytest.raises(NotFound, match=r"Did you mean 'duplicate'\?"):
        catalog.flow_named(service, "duplicat")


def test_nothing_is_offered_where_nothing_is_near(service):
    with pytest.raises(NotFound) as caught:
        catalog.flow_named(service, "zzzzzzzzzz")
    assert "mean" not in str(caught.value)
    assert "evocall flows" in (caught.value.hint or "")


def test_a_name_of_two_flows_is_refused_with_all_that_tells_them_apart(service):
    """Both IDs, and whose they are."""
    with pytest.raises(UsageError) as caught:
        catalog.flow_named(service, "duplicate")
    assert (caught.value.code, caught.value.exit_code) == ("ambiguous_flow", 2)
    assert "665f1c0000000000000000d1, account Example Company;" in str(caught.value)
    assert "665f1c0000000000000000d2, account Example Company, customer North Branch." in str(caught.value)
    assert "--flow 665f1c0000000000000000d1" in (caught.value.hint or "")


def test_a_flow_that_is_listed_twice_is_one_flow(served):
    """Pages move when a flow is made while they are read: the last of one is the first of the next."""
    night, alert, other = named("alert night", "alert", "alerts")
    assert served(lambda service: catalog.flow_named(service, "alert"), [night, alert], [alert, other]).id == "B"


def test_owners_without_names_are_told_by_their_ids(served):
    """And those that are not told at all are left out."""
    twins = [{"id": "A", "name": "x", "accountId": "a1", "customerId": "c1"}, {"id": "B", "name": "x"}]
    with pytest.raises(UsageError, match="A, account a1, customer c1; B\\."):
        served(lambda service: catalog.flow_named(service, "x"), twins)


def test_a_flow_without_an_id_or_a_name_is_left_out_or_nameless(served):
    """No field of FlowInfo is promised."""
    page = [{"name": "no id"}, {"id": "A"}, {"id": "B", "name": None}, {"id": 7, "name": 8}, {}]
    found = served(lambda service: list(catalog.flows(service)), page)
    assert [(flow.id, flow.name, flow.account, flow.customer) for flow in found] == [
        ("A", "", None, None),
        ("B", "", None, None),
        ("7", "8", None, None),
    ]


def test_an_id_is_never_looked_up(sandbox, service):
    flow = Flow("665f1c0000000000000000aa", "alert")
    assert catalog.resolved(flow, service) == flow
    assert sandbox.requests == []


def test_a_flow_that_was_named_keeps_its_name_beside_its_id(service):
    """The alias of the profile, where one was used."""
    assert catalog.resolved(Flow("alert", pending=True), service) == Flow("665f1c0000000000000000aa", "alert")
    assert catalog.resolved(Flow("alert", "a", pending=True), service) == Flow("665f1c0000000000000000aa", "a")


def test_flows_may_be_listed_by_whoever_may_not_dial(sandbox, service_at):
    found = list(catalog.flows(service_at(sandbox.base_url, "customer@example.com")))
    assert [flow.id for flow in found] == [flow.id for flow in sandbox.flows]


def test_a_role_that_may_not_list_flows_is_told_so(service_at):
    with (
        Sandbox(accounts=[Account("phone@example.com", "rings-nobody", ("User",))]) as sandbox,
        pytest.raises(Forbidden),
    ):
        catalog.flow_named(service_at(sandbox.base_url, "phone@example.com"), "alert")


# many flows


def test_ten_thousand_flows_over_four_hundred_pages_are_searched(service_at):
    """The service searches for the name; the pages are read for the nearest ones only when there is no such name."""
    with Sandbox(extra_flows=10_000, most_per_page=25) as sandbox:
        service = service_at(sandbox.base_url)
        assert catalog.flow_named(service, "flow 10000").id == sandbox.flows[-1].id
        assert len(sandbox.requests) == 1
        with pytest.raises(NotFound, match="'flow 09999'"):
            catalog.flow_named(service, "Flow 9999")
        assert len(sandbox.requests) == 1 + 1 + 401


def test_a_search_holds_one_page(service_at, monkeypatch):
    """Many pages need what one needs: far less than all their flows would."""
    monkeypatch.setattr(catalog, "QUIET_FOR", 0.0)
    with Sandbox(extra_flows=1_500, most_per_page=25) as sandbox:
        service = service_at(sandbox.base_url)
        list(catalog.flows(service, "flow 00001"))
        tracemalloc.start()
        try:
            with pytest.raises(NotFound):
                catalog.flow_named(service, "Flow 9999", tell=lambda _: sandbox.requests.clear())
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < 400_000


def test_a_long_search_says_how_far_it_is(service_at, monkeypatch):
    """From a second on; here at once."""
    monkeypatch.setattr(catalog, "QUIET_FOR", 0.0)
    said = []
    with Sandbox(extra_flows=1_193, most_per_page=400) as sandbox:
        list(catalog.flows(service_at(sandbox.base_url), tell=said.append))
    assert said[:2] == ["still searching: 100 looked at so far.", "still searching: 200 looked at so far."]
    assert said[-1] == "still searching: 1,200 looked at so far."


def test_a_long_search_does_not_chatter(service_at, monkeypatch):
    """After one second, three, nine and so on; a page comes every half second here."""
    now = (n / 2 for n in range(1000))
    monkeypatch.setattr(catalog, "time", SimpleNamespace(monotonic=lambda: next(now)))
    said = []
    with Sandbox(extra_flows=993, most_per_page=25) as sandbox:
        list(catalog.flows(service_at(sandbox.base_url), tell=said.append))
    assert said == [f"still searching: {count} looked at so far." for count in (50, 150, 450)]


def test_a_quick_search_says_nothing(service):
    said = []
    catalog.flow_named(service, "alert", tell=said.append)
    list(catalog.numbers(service, tell=said.append))
    assert said == []


# numbers


def test_the_numbers_are_those_of_the_account(service):
    """With the virtual one marked, which nobody has bought."""
    found = list(catalog.numbers(service))
    assert [(owned.number, owned.account, owned.virtual) for owned in found] == [
        ("+18145550190", "Example Company", False),
        ("+18145550191", "Example Company", False),
        ("+12025550192", "Example Company", False),
        ("+18145550199", "Example Company", True),
    ]


NUMBERS = [
    {"phoneNumber": "+18145550190", "displayName": "Front desk", "flowName": "welcome", "flowId": "f1"},
    {"phoneNumber": "+18145550191", "displayName": "Room 7", "flowId": "f2"},
    {"displayName": "+12025550192", "accountId": "a1"},
    {"phoneNumber": "(814) 555-0199", "isVirtualPhoneNumber": True},
    {"phoneNumber": None, "displayName": None},
]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["+18145550190", "+18145550191", "+12025550192", "(814) 555-0199", ""]),
        ("desk", ["+18145550190"]),
        ("DESK", ["+18145550190"]),
        ("0191", ["+18145550191"]),
        ("555-0190", ["+18145550190"]),
        ("(202) 555", ["+12025550192"]),
        ("+1 202", ["+12025550192"]),
        ("8145550199", ["(814) 555-0199"]),
        ("7", ["+18145550191"]),
        ("nothing", []),
        ("---", []),
    ],
)
def test_numbers_are_found_by_their_digits_or_their_name(served, text, expected):
    """However either is written."""
    assert served(lambda service: [owned.number for owned in catalog.numbers(service, text)], NUMBERS) == expected


def test_a_digit_in_a_name_is_not_taken_for_a_number(served):
    """`Room 1` is not every number with a 1 in it."""
    assert served(lambda service: [owned.name for owned in catalog.numbers(service, "room 1")], NUMBERS) == []
    assert served(lambda service: [owned.name for owned in catalog.numbers(service, "room 7")], NUMBERS) == ["Room 7"]


def test_what_is_told_of_a_number_is_taken_from_where_it_is(served):
    """A flow by its name, else by its ID; the number where the name is, when it is nowhere else."""
    found = served(lambda service: list(catalog.numbers(service)), NUMBERS)
    assert [(owned.name, owned.flow, owned.account, owned.virtual) for owned in found] == [
        ("Front desk", "welcome", None, False),
        ("Room 7", "f2", None, False),
        ("+12025550192", None, "a1", False),
        (None, None, None, True),
        (None, None, None, False),
    ]


@pytest.mark.parametrize(
    ("number", "owned"),
    [("+18145550190", True), ("+12025550192", True), ("+18145550199", False), ("+18145550100", False), ("+1", False)],
)
def test_only_a_number_that_was_bought_is_owned(service, number, owned):
    """A virtual one may be refused as caller ID, and part of a number is none."""
    assert catalog.owns(service, number) is owned
