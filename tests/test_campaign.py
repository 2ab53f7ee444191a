"""What makes a row the same row, what the check of a table finds, and who dials when."""

import sqlite3
import threading
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evocall import report, rows
from evocall.campaign import Run, Tally
from evocall.crew import Crew
from evocall.earlier import Key
from evocall.errors import ExitCode, JournalError, OutcomeUnknown, RateLimited, Refused, UsageError
from evocall.history import Filter
from evocall.identities import HASH_BITS, Identities, digest
from evocall.journal import Journal
from evocall.model import Answer, Campaign, Guard, Outcome, Profile
from evocall.pacing import FilePace
from evocall.planning import Planner
from evocall.reading import Order, Reader, check, identity_of, outcome_of

A, B, C = "+18145550100", "+18145550101", "+18145550102"
ANYWHERE = Guard()
NOON = datetime(2026, 11, 23, 17, 0, tzinfo=UTC)  # in New York
SPRING = Campaign("spring", "localhost", "default", "welcome", None)


@pytest.fixture
def journal(tmp_path):
    with Journal(tmp_path / "journal.db") as opened:
        yield opened


@pytest.fixture
def reader(tmp_path, journal):
    """The reader of a table of these lines, with these terms of the order."""
    tables = []

    def make(*lines, heading="number", between=None, guard=ANYWHERE, base_url="http://127.0.0.1:1", **terms):
        guard = replace(guard, deny=guard.deny and str(tmp_path / guard.deny))
        path = tmp_path / "calls.csv"
        path.write_text("\n".join([heading, *lines, ""]), encoding="utf-8")
        tables.append(rows.opened(str(path), encoding=None, number_column="number"))
        profile = Profile("default", base_url, "ops@example.com", flow="welcome", guard=guard)
        order = Order(replace(SPRING, host=profile.host), **{"pace": 1000, **terms})
        journal.campaigns.begin(order.campaign, NOON)
        return Reader(tables[-1], Planner(profile, between=between), order, journal)

    yield make
    for table in tables:
        table.close()


def unknown(journal):
    """The rows of the campaign of which nobody knows whether they rang; in a batch the service was asked about them."""
    records = journal.history.calls(Filter(campaign="spring", outcome=Outcome.UNKNOWN))
    return {record.once_key: record.call.id for record in reversed(list(records)) if not record.in_flight}


def reserve_elsewhere(journal, number):
    """The row of this number as another process begins it."""
    plan = Planner(Profile("default", "http://127.0.0.1:1", flow="welcome")).plan(number, flow=None, caller_id=None)
    key = Key(f"{number} welcome", "spring")
    return journal.reserve(plan, lambda _: None, key=key, username=None, now=NOON, hold_back=timedelta())


def dialled_by(read, journal, tmp_path, made=lambda _: None, then=lambda: None, **clock):
    """What a run over these rows did, and whom it rang; `then` follows every call."""
    rung = []

    class Service:
        def place(self, request, may_leave):
            rung.append(request.number)
            then()
            return Answer(Outcome.PLACED)

        def close(self):
            pass

    pace = FilePace(tmp_path / "pace" / "default", 1000)
    one = Run(read, journal, pace, Service, **clock)
    made(one)
    tally = one.run()
    pace.close()
    return tally, rung


@pytest.fixture
def run(reader, journal, tmp_path):
    """Runs a campaign on a service that answers each number with these outcomes in turn, the last one for ever."""
    pace = FilePace(tmp_path / "pace" / "default", 1000)

    answers, asked = {}, Counter()

    class Service:
        def place(self, request, may_leave):
            outcomes = answers.get(request.number, [Outcome.PLACED])
            asked[request.number] += 1
            outcome = outcomes[min(asked[request.number], len(outcomes)) - 1]
            refusals = {Outcome.NOT_PLACED: Refused("it said no"), Outcome.UNKNOWN: OutcomeUnknown("nobody knows")}
            return Answer(outcome, error=refusals.get(outcome))

        def close(self):
            pass

    def begin(*lines, given=(), **terms):
        answers.update(given)
        read = reader(*lines, **terms)
        if terms.get("retry_unknown"):
            read.again = unknown(journal)
        found = check(read, lambda *_: None, NOON)
        one = Run(read, journal, pace, Service, repeated=found.repeated)
        return one.run(), asked

    yield begin
    pace.close()


@pytest.fixture
def found(reader):
    """What the check finds, and which lines it complains about."""

    def look(*lines, **terms):
        complaints = []
        result = check(reader(*lines, **terms), lambda row, error: complaints.append((row.line, error.code)), NOON)
        return result, complaints

    return look


@given(st.lists(st.integers(0, HASH_BITS)), st.integers(0, HASH_BITS))
def test_a_set_of_identities_holds_what_was_put_in(values, other):
    identities = Identities(values)
    assert all(value in identities for value in values)
    assert (other in values) == (other in identities)
    assert len(values) == len(identities)


@given(st.lists(st.integers(0, 9)))
def test_repeated_identities_are_those_given_more_than_once(values):
    expected = {value for value, count in Counter(values).items() if count > 1}
    assert expected == Identities(values).repeated()


@given(st.text())
def test_a_hash_has_64_bits_and_stays_the_same(text):
    assert 0 <= digest(text) == digest(text) <= HASH_BITS


def test_a_row_is_its_key_or_its_number_and_flow(reader):
    """However it is written, and whether the flow is the row's or the command's."""
    read = reader(
        f"{A},,", "+1 814-555-0100,,", f"{A},welcome,", f"{A},alert,", f"{A},, k ", f"{B},alert,k",
        heading="number,flow,key",
    )  # fmt: skip
    identities = [identity_of(row, read.plan(row)) for row in read.table]
    assert [f"{A} welcome"] * 3 + [f"{A} alert", "k", "k"] == identities


def test_the_guess_at_an_identity_is_right_or_stands_for_no_row(reader):
    """It spares reading the number of rows that are done."""
    read = reader(A, "+1 814-555-0100", "nonsense")
    first, written, bad = list(read.table)
    assert identity_of(first, read.plan(first)) == read.guess(first)
    assert read.guess(written) != read.guess(first) != read.guess(bad)


def test_the_check_counts_everything_once(found):
    result, complaints = found(A, A, "x", B, "911", "+442079460958", guard=Guard(countries=("US",)))
    assert [(4, "invalid_number"), (6, "emergency"), (7, "country")] == complaints
    assert (6, 3, 1, 2, {"US": 3}) == (
        result.rows,
        result.bad,
        result.duplicates,
        result.to_dial,
        dict(result.countries),
    )


def test_the_check_counts_rows_outside_their_hours(found):
    """It is noon in New York and night in Tokyo."""
    result, _ = found(A, "+81312345678", B, between="08:00-21:00")
    assert (3, 1) == (result.to_dial, result.waiting)


def test_the_check_of_an_empty_table_finds_nothing(found):
    result, complaints = found()
    assert (0, 0, 0, []) == (result.rows, result.to_dial, result.bad, complaints)


def test_a_row_with_a_flaw_is_bad_for_that_reason(reader):
    read = reader(f"{A},{B}")
    with pytest.raises(UsageError, match="it has 2 cells"):
        read.plan(next(iter(read.table)))


def test_a_second_run_dials_what_was_not_placed(run):
    tally, asked = run(A, B, C, given={B: [Outcome.NOT_PLACED, Outcome.PLACED], C: [Outcome.UNKNOWN]})
    assert ({"placed": 1, "not_placed": 1, "unknown": 1}, None) == (dict(tally.outcomes), tally.stopped)
    tally, asked = run(A, B, C)
    assert {"placed": 1} == dict(tally.outcomes)
    assert {A: 1, B: 2, C: 1} == asked


def test_unknown_rows_are_dialled_again_once_a_run_when_told(run):
    """A call that was placed in spite of an unknown one before it is placed."""
    run(A, B, given={A: [Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.PLACED]})
    assert {"unknown": 1} == dict(run(A, B, retry_unknown=True)[0].outcomes)
    assert {"placed": 1} == dict(run(A, B, retry_unknown=True)[0].outcomes)
    tally, asked = run(A, B, retry_unknown=True)
    assert ({}, {A: 3, B: 1}) == (dict(tally.outcomes), asked)


def test_a_later_pass_of_a_run_leaves_alone_what_the_run_has_dialled(reader, journal, tmp_path):
    """Rows may wait for their hours between passes; --retry-unknown means one more call, not one a pass."""
    asked = []

    class Service:
        def place(self, request, may_leave):
            asked.append(request.number)
            return Answer(Outcome.UNKNOWN, error=OutcomeUnknown("nobody knows"))

        def close(self):
            pass

    read, pace = reader(A, retry_unknown=True), FilePace(tmp_path / "pace" / "default", 1000)
    read.again = {f"{A} welcome": "0001"}
    one = Run(read, journal, pace, Service)
    for _ in range(2):
        one._pass()
        one._crew.drain()
        read.refresh()
    one._crew.close()
    pace.close()
    assert [A] == asked


def test_failures_in_a_row_stop_a_run(run):
    """An unknown outcome is none of them, and does not end the row of them either."""
    lost, dead = "+18145550105", "+18145550106"
    given = {A: [Outcome.NOT_PLACED], lost: [Outcome.UNKNOWN], B: [Outcome.NOT_PLACED], dead: [Outcome.UNKNOWN]}
    tally, asked = run(A, lost, B, C, dead, given=given, max_failures=2, concurrency=1)
    assert ("it said no", {A: 1, lost: 1, B: 1}) == (str(tally.stopped), asked)


def test_a_limit_counts_rows_that_are_dialled(run):
    """Those that are done already do not use it up."""
    assert 1 == run(A, B, C, limit=1)[0].outcomes["placed"]
    assert {A: 1, B: 1} == run(A, B, C, limit=1)[1]


def test_a_worker_that_breaks_does_not_end_in_silence(reader, journal, tmp_path):
    """The run is stopped, and says that it is a defect, without values that nobody has looked at."""

    class Broken:
        def place(self, request, may_leave):
            raise ZeroDivisionError("correct horse")

        def close(self):
            pass

    pace = FilePace(tmp_path / "pace" / "default", 1000)
    tally = Run(reader(A, B, concurrency=1), journal, pace, Broken).run()
    pace.close()
    assert ("internal", ExitCode.INTERNAL) == (tally.stopped.code, tally.stopped.exit_code)
    assert (True, False) == ("ZeroDivisionError" in str(tally.stopped), "horse" in str(tally.stopped))
    assert ["unknown"] == [str(record.call.outcome) for record in journal.history.calls(Filter())]
    assert {"unknown": 1} == dict(tally.outcomes)


def test_a_run_that_is_stopped_before_it_begins_dials_nobody(reader, journal, tmp_path):
    pace = FilePace(tmp_path / "pace" / "default", 1000)
    one = Run(reader(A, B), journal, pace, lambda: pytest.fail("nobody is needed"))
    one.stop.set()
    assert {} == dict(one.run().outcomes)
    pace.close()


def test_a_crew_has_no_more_workers_than_asked_for_and_each_its_service():
    """And they close it when they go home."""
    closed, at_work, most, lock = [], [], [], threading.Lock()

    class Service:
        def close(self):
            closed.append(self)

    def work(service, item):
        with lock:
            at_work.append(item)
            most.append(len(at_work))
        together.wait()
        with lock:
            at_work.remove(item)

    together = threading.Barrier(3, timeout=30)
    crew = Crew(3, Service, work)
    for item in range(12):
        while not crew.free(timeout=1):
            pass
        crew.hand(item)
    crew.drain()
    crew.close()
    for thread in crew._threads:
        thread.join(30)
    assert (3, 3) == (max(most), len(set(closed)))


@pytest.fixture
def through_the_hours(reader, journal, tmp_path):
    """Runs a campaign on a clock of its own: each call takes it `step` further, and waiting takes it to the end."""

    def run_through(*lines, begin, step, **terms):
        time = [begin]
        rung, waits, said = [], [], []

        class Service:
            def place(self, request, may_leave):
                rung.append((request.number, time[0]))
                time[0] += step
                return Answer(Outcome.PLACED)

            def close(self):
                pass

        def wait(seconds):
            waits.append(seconds)
            time[0] += timedelta(seconds=seconds)

        pace = FilePace(tmp_path / "pace" / "default", 1000)
        read = reader(*lines, between="08:00-21:00", concurrency=1, **terms)
        tally = Run(read, journal, pace, Service, tell=said.append, now=lambda: time[0], wait=wait).run()
        pace.close()
        return tally, rung, waits, said

    return run_through


EVENING = datetime(2026, 11, 24, 1, 59, tzinfo=UTC)  # 20:59 in New York
MORNING = datetime(2026, 11, 24, 13, 0, tzinfo=UTC)  # 08:00 there


def test_hours_that_end_while_a_campaign_runs_are_waited_for(through_the_hours):
    """The rest is rung from the first allowed moment on, each number once, and it is said until when it waits."""
    tally, rung, _, said = through_the_hours(A, B, C, begin=EVENING, step=timedelta(minutes=2))
    assert [number for number, _ in rung] == [A, B, C]
    assert rung[0][1] == EVENING
    assert rung[1][1] == MORNING
    assert len(said) == 1
    assert "13:00 UTC" in said[0]
    assert tally.outcomes["placed"] == 3


def test_a_campaign_that_waits_looks_at_the_clock_every_minute(through_the_hours):
    """A machine that was asleep, or whose clock was set, counts no seconds meanwhile."""
    _, _, waits, _ = through_the_hours(A, B, C, begin=EVENING, step=timedelta(minutes=2))
    assert 0 < max(waits) <= 60


def test_hours_that_end_while_a_campaign_runs_leave_the_rest_when_told_not_to_wait(through_the_hours):
    tally, rung, waits, _ = through_the_hours(A, B, C, begin=EVENING, step=timedelta(minutes=2), wait_for_hours=False)
    assert ([number for number, _ in rung], waits, tally.waiting) == ([A], [], 2)


def test_a_call_that_another_process_loses_meanwhile_is_not_dialled_again(reader, journal, tmp_path):
    """--retry-unknown asked about the rows that were unknown when it began; this one was in flight then."""
    with Journal(tmp_path / "journal.db") as other:
        reserved = reserve_elsewhere(other, A)
        read = reader(A, retry_unknown=True)
        read.again = unknown(journal)
        other.resolve(reserved, Answer(Outcome.UNKNOWN, error=OutcomeUnknown("no answer")), timedelta())
        tally, rung = dialled_by(read, journal, tmp_path)
    assert ([], {"unknown": 1}) == (rung, dict(tally.outcomes))


def test_a_call_that_another_process_lost_after_the_service_was_asked_is_not_dialled_again(reader, journal, tmp_path):
    """It was asked about the call before that one, and in whichever moment it happened, this one may have rung."""
    lost = Answer(Outcome.UNKNOWN, error=OutcomeUnknown("no answer"))
    journal.resolve(reserve_elsewhere(journal, A), lost, timedelta())
    asked_about = unknown(journal)
    with Journal(tmp_path / "journal.db") as other:
        other.resolve(reserve_elsewhere(other, A), lost, timedelta())
        read = reader(A, retry_unknown=True)
        read.again = asked_about
        tally, rung = dialled_by(read, journal, tmp_path)
    assert ([], {"unknown": 1}) == (rung, dict(tally.outcomes))


def test_a_row_that_another_process_dials_while_all_wait_for_their_hours_counts_as_placed(reader, journal, tmp_path):
    """It has woken up a moment sooner."""
    time = [datetime(2026, 11, 23, 12, 0, tzinfo=UTC)]  # 07:00 in New York

    def wait(_):
        time[0] += timedelta(hours=1, seconds=1)
        with Journal(tmp_path / "journal.db") as other:
            other.resolve(reserve_elsewhere(other, A), Answer(Outcome.PLACED), timedelta())

    read = reader(A, B, between="08:00-21:00")
    found = check(read, lambda *_: None, time[0])
    tally, rung = dialled_by(read, journal, tmp_path, now=lambda: time[0], wait=wait)
    assert ([B], {"placed": 1, "already_placed": 1}) == (rung, dict(tally.outcomes))
    assert report.ending(read, found, tally, interrupted=False) is None


def test_a_run_that_is_stopped_does_not_wait_for_the_call_of_another_process(reader, journal, tmp_path):
    """That may take an hour; what becomes of the row, the other one writes down."""
    with Journal(tmp_path / "journal.db") as other:
        reserve_elsewhere(other, A)
        stopped = []

        def stop_soon(journal_reserve=journal.reserve):
            def reserve(*arguments, **terms):
                found = journal_reserve(*arguments, **terms)
                if found is None:
                    stopped[0].stop.set()
                return found

            return reserve

        journal.reserve = stop_soon()
        tally, rung = dialled_by(reader(A), journal, tmp_path, made=stopped.append)
    assert ([], {}) == (rung, {name: count for name, count in tally.outcomes.items() if count})


def test_a_run_that_is_stopped_while_the_service_wants_a_pause_has_placed_nothing(reader, journal, tmp_path):
    """The request was refused, so nobody needs to wait for the pause to be over."""
    runs = []

    class Service:
        def place(self, request, may_leave):
            runs[0].stop.set()
            return Answer(Outcome.NOT_PLACED, 429, error=RateLimited("slow down"), resend=True, retry_after=600.0)

        def close(self):
            pass

    pace = FilePace(tmp_path / "pace" / "default", 1000)
    runs.append(Run(reader(A), journal, pace, Service))
    assert {"not_placed": 1} == dict(runs[0].run().outcomes)
    assert ["not_placed"] == [str(record.call.outcome) for record in journal.history.calls()]
    pace.close()


def test_a_row_that_another_process_lost_while_all_waited_for_their_hours_counts_as_unknown(reader, journal, tmp_path):
    """So that the campaign does not end as if nobody had rung that number."""
    time = [datetime(2026, 11, 23, 12, 0, tzinfo=UTC)]

    def wait(_):
        time[0] += timedelta(hours=1, seconds=1)
        lost = Answer(Outcome.UNKNOWN, error=OutcomeUnknown("no answer"))
        with Journal(tmp_path / "journal.db") as other:
            other.resolve(reserve_elsewhere(other, A), lost, timedelta())

    read = reader(A, B, between="08:00-21:00")
    tally, rung = dialled_by(read, journal, tmp_path, now=lambda: time[0], wait=wait)
    assert ([B], {"placed": 1, "unknown": 1}) == (rung, dict(tally.outcomes))


def test_a_campaign_that_was_begun_differently_while_all_waited_for_their_hours_dials_nobody(reader, journal, tmp_path):
    """It ends at the first row, and says so as at the start of a campaign that has changed."""
    time = [datetime(2026, 11, 23, 12, 0, tzinfo=UTC)]  # 07:00 in New York

    def wait(seconds):
        time[0] += timedelta(seconds=seconds)
        with sqlite3.connect(tmp_path / "journal.db") as other:
            other.execute("UPDATE campaigns SET flow = 'id:reminder'")
        other.close()

    read = reader(A, B, C, between="08:00-21:00", concurrency=1)
    tally, rung = dialled_by(read, journal, tmp_path, now=lambda: time[0], wait=wait)
    assert ([], {"not_placed": 1}) == (rung, dict(tally.outcomes))
    assert ("campaign_changed", ExitCode.USAGE) == (tally.stopped.code, tally.stopped.exit_code)


@pytest.mark.parametrize("ended", [Outcome.PLACED, Outcome.UNKNOWN])
def test_what_was_dialled_at_one_service_is_not_done_at_another(run, ended):
    """A rehearsal on the sandbox under the campaign's own name leaves everything to dial."""
    rehearsed, _ = run(A, B, given={A: [ended]})
    assert rehearsed.outcomes[ended] >= 1
    tally, asked = run(A, B, given={A: [Outcome.PLACED]}, base_url="https://evovoice.io")
    assert (tally.outcomes, asked) == ({"placed": 2}, {A: 2, B: 2})
    again, asked = run(A, B, base_url="https://EvoVoice.io.:443/")
    assert (again.outcomes, asked) == ({}, {A: 2, B: 2})


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://EvoVoice.io:443/api", "evovoice.io"),
        ("https://evovoice.io.", "evovoice.io"),
        ("https://evovoice.io:8443", "evovoice.io:8443"),
        ("https://[2001:DB8::1]:443", "[2001:db8::1]"),
        ("http://[::1]:8080", "localhost"),
        ("http://LOCALHOST.:80", "localhost"),
    ],
)
def test_a_service_is_the_same_however_its_address_is_written(address, host):
    """Else once-keys, caps and campaigns would forget calls."""
    assert Profile("p", address).host == host


def test_rows_that_come_while_a_campaign_runs_are_left_to_the_next_one(reader, journal, tmp_path):
    """Nobody has checked them, or been asked about them."""
    path = tmp_path / "calls.csv"

    def then():
        with path.open("a") as file:
            file.write(f"{C}\nx\n")

    tally, rung = dialled_by(reader(A, B, concurrency=1), journal, tmp_path, then=then)
    assert ([A, B], {"placed": 2}) == (rung, dict(tally.outcomes))


DENYING = Guard(deny="no.txt")


@pytest.fixture
def deny_list(tmp_path):
    """The deny list of `DENYING`, with a number in it that no row has."""
    path = tmp_path / "no.txt"
    path.write_text("+18145550199\n")
    return path


def one_by_one(make, *lines, **terms):
    """The reader of rows that are dialled one after the other."""
    return make(*lines, guard=DENYING, concurrency=1, **terms)


def test_a_number_that_comes_onto_the_deny_list_while_a_campaign_runs_is_left_out(reader, journal, tmp_path, deny_list):
    """The others are dialled; and the campaign does not end as if all had been."""
    read, said = one_by_one(reader, A, B, C), []
    found = check(read, lambda *_: None, NOON)
    tally, rung = dialled_by(read, journal, tmp_path, then=lambda: deny_list.write_text(f"{B}\n"), tell=said.append)
    assert ([A, C], {"placed": 2}, None) == (rung, dict(tally.outcomes), tally.stopped)
    assert ExitCode.INCOMPLETE == report.ending(read, found, tally, interrupted=False).exit_code
    assert ["the deny list has changed and was read again."] == said[:1]


def test_a_row_that_was_placed_is_so_in_the_results_although_its_number_is_denied_since(
    reader, journal, tmp_path, deny_list
):
    """However the number is written."""
    read = one_by_one(reader, "+1 814-555-0100", B, C, "911")
    dialled_by(read, journal, tmp_path, then=lambda: deny_list.write_text(f"{A}\n{B}\n"))
    assert ["placed", "refused", "placed", "refused"] == [outcome_of(read, journal, row)[0] for row in read.table]


def test_a_number_that_comes_onto_the_deny_list_while_all_wait_for_their_hours_is_left_out(
    reader, journal, tmp_path, deny_list
):
    time = [datetime(2026, 11, 23, 12, 0, tzinfo=UTC)]  # 07:00 in New York

    def wait(seconds):
        time[0] += timedelta(seconds=seconds)
        new = tmp_path / "new.txt"
        new.write_text(f"{A}\n{B}\n")
        new.replace(deny_list)

    read = one_by_one(reader, A, B, C, between="08:00-21:00")
    assert [C] == dialled_by(read, journal, tmp_path, now=lambda: time[0], wait=wait)[1]


def test_a_number_that_comes_off_the_deny_list_stays_denied_until_the_next_run(reader, journal, tmp_path, deny_list):
    """The list may just be being written anew, and be empty for a moment."""
    deny_list.write_text(f"{B}\n")
    read = one_by_one(reader, A, B, C)
    assert [A, C] == dialled_by(read, journal, tmp_path, then=lambda: deny_list.write_text(""))[1]
    assert [B] == dialled_by(one_by_one(reader, A, B, C), journal, tmp_path)[1]


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_text("nobody\n")])
def test_a_deny_list_that_cannot_be_read_any_more_stops_the_campaign(reader, journal, tmp_path, deny_list, spoil):
    """Rather than being forgotten."""
    spoiled = []

    def then():
        if not spoiled:
            spoiled.append(spoil(deny_list))

    tally, rung = dialled_by(one_by_one(reader, A, B, C), journal, tmp_path, then=then)
    assert ([A], {"placed": 1}) == (rung, dict(tally.outcomes))
    assert (ExitCode.CONFIG, "deny_list") == (tally.stopped.exit_code, tally.stopped.code)


@pytest.mark.parametrize(("text", "code"), [(f"{A}\n", "deny_list"), ("nobody\n", None)])
def test_between_two_attempts_the_deny_list_is_looked_at_again(reader, journal, tmp_path, deny_list, text, code):
    """It ends the call, and the journal knows that nobody was rung."""
    asked = []

    class Service:
        def place(self, request, may_leave):
            asked.append(request.number)
            deny_list.write_text(text)
            return Answer(Outcome.NOT_PLACED, 429, error=RateLimited("slow down"), resend=True, retry_after=0.0)

        def close(self):
            pass

    pace = FilePace(tmp_path / "pace" / "default", 1000)
    tally = Run(one_by_one(reader, A), journal, pace, Service).run()
    pace.close()
    assert ([A], {} if code else {"not_placed": 1}) == (asked, dict(tally.outcomes))
    assert ["not_placed"] == [str(record.call.outcome) for record in journal.history.calls()]
    assert tally.denied == 1 if code else tally.stopped.exit_code is ExitCode.CONFIG


@pytest.mark.parametrize(
    ("heading", "line"), [("number,key", f"{B},{'k' * 1001}"), ("number,flow", f"{B},id:{'f' * 1001}")]
)
def test_a_row_whose_identity_is_too_long_for_the_journal_is_bad(found, heading, line):
    """Before the first call, and not when its turn comes."""
    result, complaints = found(f"{A},", line, heading=heading)
    assert ([(3, "long_key")], 1) == (complaints, result.to_dial)


def test_an_interrupted_run_whose_journal_is_gone_does_not_say_that_all_is_recorded(reader):
    read = reader(A)
    full = JournalError("The disk is full.")
    lost = "could not be recorded, so the journal shows unknown (evocall reconcile settles it)."
    said = [
        report.ending(read, check(read, lambda *_: None, NOON), tally, interrupted=True).message
        for tally in (Tally(), Tally(stopped=full), Tally(stopped=full, unrecorded=2))
    ]
    assert said == [
        "interrupted; the calls in flight were finished and recorded.",
        "interrupted; The disk is full.",
        f"interrupted; what 2 calls came to {lost} The disk is full.",
    ]
