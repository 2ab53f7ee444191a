"""May this number be called now? The rules, over every kind of clock."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evocall import guard, phone
from evocall.errors import OutcomeUnknown, Refused, UsageError
from evocall.model import Call, Earlier, Guard, Number, NumberClass, Outcome

NOW = datetime(2026, 5, 5, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
NEW_YORK, BERLIN = "America/New_York", "Europe/Berlin"
EARLIER = Call(Outcome.UNKNOWN, number="+18145550100", requested_at=NOW, id="7K3Q")


def number(*zones: str, country: str | None = "US", kind: str = NumberClass.FIXED, verified: bool = True) -> Number:
    """A number that is what the test needs it to be."""
    return Number("typed", "+18145550100", "+1 814-555-0100", "(814) 555-0100", country, kind, zones, verified)


def refused(rule, *arguments, **options) -> Refused | None:
    """What the rule objects to, None when it lets the call pass."""
    try:
        rule(*arguments, **options)
    except Refused as error:
        return error
    return None


def allowed(zones, hours: str, moment: datetime) -> bool:
    """Whether a number in these zones may be called at this moment."""
    return refused(guard.refuse_hours, number(*zones), guard.read_hours(hours), moment) is None


def named_moment(error: Refused) -> datetime | None:
    """The first allowed moment that the error's hint names."""
    found = re.search(r"from (\d{4}-\d\d-\d\d \d\d:\d\d) UTC", error.hint)
    return found and datetime.strptime(found[1], "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize("kind", ["premium", "shared-cost", "satellite", "personal"])
def test_a_class_that_costs_is_called_only_when_it_is_allowed(kind):
    """The hint names the switch, and a switch for another class does not open it."""
    callee = number(kind=NumberClass(kind))
    error = refused(guard.refuse_class, callee, ("unverified",))
    assert (error.exit_code, error.code) == (3, f"class_{kind.replace('-', '_')}")
    assert f"--allow {kind}" in error.hint
    assert refused(guard.refuse_class, callee, (kind,)) is None


@pytest.mark.parametrize("kind", ["fixed", "mobile", "fixed-or-mobile", "toll-free", "voip", "pager", "company"])
def test_other_classes_need_no_switch(kind):
    assert refused(guard.refuse_class, number(kind=NumberClass(kind)), ()) is None


def test_a_number_that_the_plan_does_not_know_needs_its_own_switch():
    """Also a satellite number, for which both are needed."""
    unknown = number(kind=NumberClass.SATELLITE, verified=False)
    assert refused(guard.refuse_class, unknown, ("satellite",)).code == "class_unverified"
    assert refused(guard.refuse_class, unknown, ("unverified",)).code == "class_satellite"
    assert refused(guard.refuse_class, unknown, ("unverified", "satellite")) is None


@pytest.mark.parametrize(
    ("country", "countries", "passes"),
    [
        ("US", None, True),
        (None, None, True),
        ("US", ("US", "CA"), True),
        ("CA", ("US",), False),
        (None, ("US",), False),
        ("US", (), False),
    ],
)
def test_only_the_listed_countries_are_called(country, countries, passes):
    """A number of no country is in none of them, and an empty list allows none."""
    error = refused(guard.refuse_country, number(country=country), countries)
    assert passes == (error is None)
    assert error is None or (error.exit_code, error.code) == (3, "country")


def test_a_denied_number_is_refused_with_the_name_of_the_list():
    limits = Guard(deny="do-not-call.txt")
    error = refused(guard.refuse, number(NEW_YORK), limits, denied={"+18145550100"}, allow=())
    assert (error.exit_code, error.code) == (3, "deny_list")
    assert "do-not-call.txt" in error.message
    assert refused(guard.refuse, number(NEW_YORK), limits, denied={"+18145550101"}, allow=()) is None


@pytest.mark.parametrize("text", ["08:00-21:00", "21:00-08:00", "00:00-24:00", "23:59-00:00", "00:00-00:01"])
def test_hours_are_read(text):
    assert guard.read_hours(text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "8-21",
        "8:00-21:00",
        "08:00",
        "08:00-",
        "08:00-08:00",
        "24:00-08:00",
        "08:00-24:01",
        "08:00-25:00",
        "08:60-21:00",
        "08:00 - 21:00",
        "08:00-21:00\n",
        "08:00\N{EN DASH}21:00",
        "0\N{FULLWIDTH DIGIT EIGHT}:00-21:00",
        "08:00-21:0\N{ARABIC-INDIC DIGIT ZERO}",
    ],
)
def test_what_is_not_hours_is_a_usage_error(text):
    """Never a window that the user did not mean."""
    with pytest.raises(UsageError) as caught:
        guard.read_hours(text)
    assert (caught.value.exit_code, caught.value.code) == (2, "invalid_hours")


@pytest.mark.parametrize(
    ("hours", "clock", "expected"),
    [
        ("08:00-21:00", "07:59", False),
        ("08:00-21:00", "08:00", True),
        ("08:00-21:00", "20:59", True),
        ("08:00-21:00", "21:00", False),
        ("22:00-06:00", "21:59", False),
        ("22:00-06:00", "22:00", True),
        ("22:00-06:00", "00:00", True),
        ("22:00-06:00", "05:59", True),
        ("22:00-06:00", "06:00", False),
        ("20:00-24:00", "23:59", True),
        ("20:00-24:00", "00:00", False),
        ("20:00-00:00", "23:59", True),
        ("20:00-00:00", "00:00", False),
        ("00:00-24:00", "00:00", True),
        ("00:00-24:00", "12:00", True),
        ("00:00-08:00", "00:00", True),
        ("00:00-08:00", "08:00", False),
    ],
)
def test_a_window_begins_with_its_first_minute_and_ends_before_its_last(hours, clock, expected):
    local = datetime.fromisoformat(f"2026-05-05T{clock}").replace(tzinfo=ZoneInfo(NEW_YORK))
    assert expected == allowed([NEW_YORK], hours, local.astimezone(UTC))


@pytest.mark.parametrize(
    ("zone", "hours", "moment", "expected"),
    [
        # New York loses 02:00 to 03:00 on 2026-03-08, at 07:00 UTC.
        (NEW_YORK, "08:00-21:00", "2026-03-07T12:59", False),
        (NEW_YORK, "08:00-21:00", "2026-03-07T13:00", True),
        (NEW_YORK, "08:00-21:00", "2026-03-08T12:00", True),
        (NEW_YORK, "08:00-21:00", "2026-03-08T11:59", False),
        (NEW_YORK, "02:30-04:00", "2026-03-08T06:59", False),
        (NEW_YORK, "02:30-04:00", "2026-03-08T07:00", True),
        (NEW_YORK, "01:00-02:30", "2026-03-08T06:59", True),
        (NEW_YORK, "01:00-02:30", "2026-03-08T07:00", False),
        # It has 01:00 to 02:00 twice on 2026-11-01: from 05:00 and from 06:00 UTC.
        (NEW_YORK, "08:00-21:00", "2026-11-01T12:59", False),
        (NEW_YORK, "08:00-21:00", "2026-11-01T13:00", True),
        (NEW_YORK, "01:30-02:00", "2026-11-01T05:30", True),
        (NEW_YORK, "01:30-02:00", "2026-11-01T06:00", False),
        (NEW_YORK, "01:30-02:00", "2026-11-01T06:30", True),
        (NEW_YORK, "01:30-02:00", "2026-11-01T07:00", False),
        # Berlin: 2026-03-29 and 2026-10-25, both at 01:00 UTC.
        (BERLIN, "08:00-21:00", "2026-03-29T06:00", True),
        (BERLIN, "08:00-21:00", "2026-03-28T06:59", False),
        (BERLIN, "02:30-04:00", "2026-03-29T01:00", True),
        (BERLIN, "08:00-21:00", "2026-10-25T06:59", False),
        (BERLIN, "08:00-21:00", "2026-10-25T07:00", True),
        (BERLIN, "02:30-03:00", "2026-10-25T01:00", False),
        (BERLIN, "02:30-03:00", "2026-10-25T01:30", True),
    ],
)
def test_the_callees_clock_decides_when_it_changes(zone, hours, moment, expected):
    """What counts is what the callee's clock shows, also in an hour that is missing or comes twice."""
    assert expected == allowed([zone], hours, utc(moment))


@pytest.mark.parametrize(
    ("zone", "hours", "now", "first"),
    [
        (NEW_YORK, "08:00-21:00", "2026-05-05T11:00", "2026-05-05T12:00"),
        (NEW_YORK, "08:00-21:00", "2026-05-06T01:00", "2026-05-06T12:00"),
        (NEW_YORK, "22:00-06:00", "2026-05-05T10:00", "2026-05-06T02:00"),
        (NEW_YORK, "08:00-21:00", "2026-03-08T05:00", "2026-03-08T12:00"),
        (NEW_YORK, "08:00-21:00", "2026-11-01T05:00", "2026-11-01T13:00"),
        (NEW_YORK, "02:10-02:50", "2026-03-08T06:00", "2026-03-09T06:10"),
        # The window begins in the missing hour: it is open as soon as the clock has jumped.
        (NEW_YORK, "02:30-04:00", "2026-03-08T06:00", "2026-03-08T07:00"),
        (BERLIN, "02:15-21:00", "2026-03-29T00:30", "2026-03-29T01:00"),
        # The clock goes back into the window, or before its beginning: it opens a second time that night.
        (NEW_YORK, "01:30-01:45", "2026-11-01T05:50", "2026-11-01T06:30"),
        (NEW_YORK, "20:00-01:30", "2026-11-01T05:40", "2026-11-01T06:00"),
        (BERLIN, "02:30-02:40", "2026-10-25T00:45", "2026-10-25T01:30"),
    ],
)
def test_the_error_names_the_first_allowed_moment(zone, hours, now, first):
    """Also around a change of the clocks, in both directions."""
    error = refused(guard.refuse_hours, number(zone), guard.read_hours(hours), utc(now))
    assert (error.exit_code, error.code) == (3, "hours")
    assert utc(first) == named_moment(error)


def test_the_error_tells_the_time_there():
    error = refused(guard.refuse_hours, number(NEW_YORK), guard.read_hours("09:00-17:00"), NOW)
    assert error.message == "It is 08:00 where +1 814-555-0100 is, and it may only be called 09:00-17:00."
    assert error.hint == "Allowed from 2026-05-05 13:00 UTC, which is 09:00 there."


def test_the_time_there_goes_from_west_to_east():
    """Also when midnight lies between the zones."""
    callee = number(NEW_YORK, "America/Los_Angeles")
    error = refused(guard.refuse_hours, callee, guard.read_hours("09:00-17:00"), utc("2026-05-05T04:30"))
    assert error.message.startswith("It is 21:30 to 00:30 where ")


def test_all_zones_of_a_number_must_be_inside_the_hours():
    """08:00 in New York is 05:00 in Los Angeles; at 21:00 in New York it is too late there."""
    zones = ["America/Los_Angeles", NEW_YORK]
    moments = ["2026-05-05T14:59", "2026-05-05T15:00", "2026-05-06T00:59", "2026-05-06T01:00"]
    assert [allowed(zones, "08:00-21:00", utc(moment)) for moment in moments] == [False, True, True, False]


def test_a_toll_free_number_may_be_called_when_it_is_day_in_all_its_zones():
    """Its zones go around half the globe: that leaves a few hours of a long day, and none of a short one."""
    callee = phone.read("+18002255288")
    assert len(callee.zones) > 24
    day = guard.read_hours("08:00-21:00")
    first = named_moment(refused(guard.refuse_hours, callee, day, NOW))
    assert refused(guard.refuse_hours, callee, day, first - MINUTE) is not None
    assert refused(guard.refuse_hours, callee, day, first) is None
    error = refused(guard.refuse_hours, callee, guard.read_hours("09:00-17:00"), NOW)
    assert "no such moment" in error.hint
    assert refused(guard.refuse_hours, callee, guard.read_hours("00:00-24:00"), NOW) is None


def test_a_number_without_a_zone_is_refused_when_there_are_hours():
    """It might be night there; without hours, or with all of them, it may be called."""
    error = refused(guard.refuse_hours, number(), guard.read_hours("08:00-21:00"), NOW)
    assert (error.exit_code, error.code) == (3, "hours")
    assert "time zone is not known" in error.message
    assert refused(guard.refuse_hours, number(), None, NOW) is None
    assert refused(guard.refuse_hours, number(), guard.read_hours("00:00-24:00"), NOW) is None


def test_zones_that_no_day_joins_are_said_to_have_no_moment():
    error = refused(
        guard.refuse_hours, number(NEW_YORK, "Asia/Tokyo"), guard.read_hours("09:00-12:00"), utc("2026-05-05T14:00")
    )
    assert "no such moment" in error.hint


ZONES = (
    NEW_YORK,
    BERLIN,
    "America/Los_Angeles",
    "America/Havana",
    "America/Santiago",
    "America/St_Johns",
    "Africa/Cairo",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Tokyo",
    "Australia/Lord_Howe",
    "Europe/London",
    "Pacific/Chatham",
    "Pacific/Honolulu",
    "UTC",
)
CHANGES = ("2026-03-08T07:00", "2026-11-01T06:00", "2026-03-29T01:00", "2026-10-25T01:00", "2026-03-08T05:00")


def moments(step: timedelta) -> st.SearchStrategy[datetime]:
    """Any moment of a year and a half; every other one lies within hours of a change of the clocks."""
    anywhere = st.integers(0, timedelta(days=550) // step).map(lambda n: utc("2026-01-01T00:00") + n * step)
    hours = timedelta(hours=4) // step
    near = st.tuples(st.sampled_from(CHANGES), st.integers(-hours, hours)).map(lambda c: utc(c[0]) + c[1] * step)
    return anywhere | near


def windows(step: int) -> st.SearchStrategy[str]:
    """Any hours whose ends are multiples of that many minutes; many end in the small hours, when clocks change."""
    minutes = st.integers(0, 24 * 60 // step) | st.integers(0, 4 * 60 // step)
    ends = minutes.map(lambda n: f"{n * step // 60:02}:{n * step % 60:02}")
    return st.tuples(ends, ends).filter(lambda e: e[0] not in {e[1], "24:00"}).map("-".join)


@settings(deadline=None, max_examples=300)
@given(zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=4), hours=windows(1), now=moments(MINUTE))
def test_the_named_moment_is_allowed_and_the_minute_before_is_not(zones, hours, now):
    """Whoever waits until then gets through, and has not waited for nothing."""
    error = refused(guard.refuse_hours, number(*zones), guard.read_hours(hours), now)
    first = error and named_moment(error)
    if first is not None:
        assert first > now
        assert (allowed(zones, hours, first - MINUTE), allowed(zones, hours, first)) == (False, True)


@settings(deadline=None, max_examples=80)
@given(
    zones=st.lists(st.sampled_from(ZONES), min_size=1, max_size=3),
    hours=windows(15),
    now=moments(timedelta(minutes=15)),
)
def test_no_moment_before_the_named_one_is_allowed(zones, hours, now):
    """All zones and all these windows change on the quarter of an hour, so that looking at each quarter is enough."""
    error = refused(guard.refuse_hours, number(*zones), guard.read_hours(hours), now)
    if error is not None:
        quarters = (now + n * timedelta(minutes=15) for n in range(7 * 96))
        expected = next((moment for moment in quarters if allowed(zones, hours, moment)), None)
        if expected is not None:
            assert expected == named_moment(error)


@settings(deadline=None, max_examples=100)
@given(zone=st.sampled_from(ZONES), hours=windows(1), now=moments(MINUTE))
def test_a_moment_is_either_inside_the_hours_or_inside_the_rest_of_the_day(zone, hours, now):
    """08:00-21:00 and 21:00-08:00 share no minute and leave none out."""
    begin, _, end = hours.partition("-")
    rest = f"{'00:00' if end == '24:00' else end}-{begin}"
    if hours not in {"00:00-24:00", "24:00-00:00"}:
        assert allowed([zone], hours, now) != allowed([zone], rest, now)


@pytest.mark.parametrize(
    ("earlier", "once", "again", "expected"),
    [
        (Earlier(), None, False, None),
        (Earlier(), "k", False, None),
        (Earlier(placed=EARLIER), "k", False, EARLIER),
        (Earlier(placed=EARLIER), "k", True, EARLIER),
        (Earlier(placed=EARLIER, unknown=EARLIER), "k", False, EARLIER),
        (Earlier(unknown=EARLIER), "k", True, None),
        (Earlier(unknown=EARLIER), None, True, None),
    ],
)
def test_what_earlier_calls_allow(earlier, once, again, expected):
    """A used-up key stays used up, also with --again; an unknown call gives way to --again."""
    assert expected == guard.may_dial(number(), Guard(), earlier, once=once, again=again)


@pytest.mark.parametrize(("once", "why"), [("key-1", "for the key 'key-1'"), (None, "to this number with this flow")])
def test_an_unknown_call_holds_the_next_one_back(once, why):
    """The error says which call, why it matters and what passes it, and that nothing was dialled."""
    with pytest.raises(OutcomeUnknown) as caught:
        guard.may_dial(number(), Guard(), Earlier(unknown=EARLIER), once=once, again=False)
    error = caught.value
    assert (error.exit_code, error.code, error.call) == (9, "held_back", EARLIER)
    assert error.message.startswith(f"nothing was dialled now: the call 7K3Q {why}, of 2026-05-05 12:00:00 UTC,")
    assert "--again" in error.hint


CAPS = ("max_per_day", "max_per_number_per_day")


@pytest.mark.parametrize(("rule", "calls"), [("max_per_day", "today"), ("max_per_number_per_day", "today_to_number")])
@pytest.mark.parametrize(("cap", "count", "passes"), [(2, 1, True), (2, 2, False), (2, 5, False), (0, 0, False)])
def test_a_cap_is_reached_with_its_last_call(rule, calls, cap, count, passes):
    earlier = Earlier(**{calls: [NOW - timedelta(hours=n) for n in range(count, 0, -1)]})
    limits = Guard(**{rule: cap})
    error = refused(guard.may_dial, number(), limits, earlier, once=None, again=False)
    assert passes == (error is None)
    assert error is None or (error.exit_code, error.code) == (3, rule)
    assert refused(guard.may_dial, number(), limits, earlier, once=None, again=True, caps_too=True) is None


def test_a_cap_of_nothing_never_passes():
    error = refused(guard.may_dial, number(), Guard(max_per_day=0), Earlier(), once=None, again=False)
    assert "Allowed again never" in error.hint


@settings(deadline=None, max_examples=200)
@given(
    ages=st.lists(st.integers(1, 24 * 3600 * 1000 - 1), min_size=1, max_size=8),
    cap=st.integers(1, 4),
    rule=st.sampled_from(CAPS),
)
def test_a_cap_names_the_first_moment_that_it_lets_a_call_pass(ages, cap, rule):
    """At the named minute there is room for a call, and a minute before there is not."""
    requested = sorted(NOW - timedelta(milliseconds=age) for age in ages)

    def error_at(now):
        recent = [moment for moment in requested if moment > now - timedelta(hours=24)]
        earlier = Earlier(today=recent, today_to_number=recent)
        return refused(guard.may_dial, number(), Guard(**{rule: cap}), earlier, once=None, again=False)

    error = error_at(NOW)
    assert (error is not None) == (len(requested) >= cap)
    if error is not None:
        first = named_moment(error)
        assert (error_at(first - MINUTE) is None, error_at(first) is None) == (False, True)
