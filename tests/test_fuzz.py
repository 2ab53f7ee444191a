"""Whatever comes from outside, in thousands of shapes: numbers, files, replies, requests to the sandbox, words to show.

Each test states what must hold for any input at all. The examples are the same on every run, so that CI is stable, and
few enough to be quick. To fuzz longer, with other examples each time and a hundred times as many:

    FUZZ=100 pytest tests/test_fuzz.py

What hypothesis finds it prints as a call to copy into an `@example`.
"""

import contextlib
import csv
import encodings.aliases
import io
import json
import os
import re
import socket
import threading
import tomllib
import warnings
from datetime import UTC, datetime
from email.utils import formatdate
from itertools import pairwise

import phonenumbers
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from evocall import (
    answers,
    catalog,
    denylist,
    guard,
    output,
    phone,
    placing,
    profiles,
    results,
    rows,
    sessions,
    wording,
)
from evocall.errors import ConfigError, EvocallError, FieldError, Rejected, UsageError
from evocall.history import Filter
from evocall.journal import Journal
from evocall.model import (
    Call,
    Credential,
    DialRequest,
    Flow,
    Guard,
    Outcome,
    Plan,
    Profile,
)
from evocall.output import Screen
from evocall.placing import Clock, Terms
from evocall.sandbox import Sandbox
from evocall.service import Service
from evocall.settings import GUARD_KEYS, PROFILE_KEYS, typed_value
from evocall.transport import Reply
from tests.faultserver import FaultServer, answering, free_port

TIMES = int(os.environ.get("FUZZ", "1"))
E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
LOGIN = Credential("ops@example.com", "correct horse", "the test")
NUMBER = phone.read("+18145550100")
HOSTILE = [
    "\x1b[2J\x1b]0;title\x07",
    "\x9b31m",
    "\u202e\u2066",
    "\r\n",
    "\x00",
    "\ud800",
    "[bold red]words[/]",
    "[/]",
    ":boom:",
    "=1+1",
    "%s{}",
    "\\$(true)`true`",
]

anything = st.text(st.characters(exclude_categories=[]), max_size=20)
words = anything | st.sampled_from(HOSTILE)
writable = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


def tries(count):
    """So many examples of a test, the same on every run unless somebody fuzzes longer."""
    return settings(
        max_examples=count * TIMES,
        derandomize=TIMES == 1,
        database=None,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


# numbers


REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
regions = st.none() | st.sampled_from(REGIONS)
digits = st.text("0123456789０９٣६+- ()./~\u00ad\u200b", max_size=20)  # noqa: RUF001


@st.composite
def almost_numbers(draw):
    """A number of some country in some spelling, with a few characters put in, taken out or exchanged."""
    kind = draw(st.sampled_from(phonenumbers.PhoneNumberType.values()))
    number = phonenumbers.example_number_for_type(draw(st.sampled_from(REGIONS)), kind)
    number = number or phonenumbers.example_number("US")
    text = phonenumbers.format_number(number, draw(st.integers(0, 3)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        text = (
            text[:at]
            + draw(st.sampled_from([*"0159+ ()-;x#,٣", "tel:", ";ext=1", ""]))
            + text[at + draw(st.booleans()) :]
        )
    return text


numbers = st.one_of(almost_numbers(), digits, digits.map("+{}".format), words, words.map("tel:{}".format))


@tries(1000)
@given(numbers, regions)
@example("+4930123456~78", None)
def test_an_accepted_number_is_e164_and_reads_as_itself_everywhere(text, region):
    """What was understood is dialled, shown and stored; each of them must mean the same phone later, anywhere.

    Countries put digits in front or in the middle, and leave some out there; the last ones are those that were typed.
    """
    try:
        number = phone.read(text, region=region)
    except EvocallError:
        return
    assert E164.fullmatch(number.e164)
    typed = phonenumbers.normalize_digits_only(text.partition(";")[0])
    assert number.e164.endswith(typed[-4:])
    for elsewhere in (None, region, "US", "DE", "AR"):
        again = phone.read(number.e164, region=elsewhere)
        assert (again.e164, again.country, again.kind) == (number.e164, number.country, number.kind)
    assert phone.read(number.international).e164 == number.e164
    shown = wording.place_and_time(number)
    assert shown == output.clean(shown)


@tries(300)
@given(words, words | st.text("ABCUSDEa", min_size=1, max_size=3), st.dictionaries(words, numbers, max_size=3))
def test_contacts_and_regions_of_any_kind_lead_to_a_number_or_a_refusal(text, region, contacts):
    for name in (text, *contacts):
        with contextlib.suppress(EvocallError):
            assert E164.fullmatch(phone.read(name, region=region, contacts=contacts).e164)


# hours and deny lists


@tries(500)
@given(words | st.text("0123456789:- ٣", max_size=11) | st.from_regex(guard.HOURS, fullmatch=True))
def test_any_text_is_hours_or_a_usage_error(text):
    try:
        hours = guard.read_hours(text)
    except UsageError:
        return
    begin, _, end = text.partition("-")
    assert (hours.text, f"{hours.begin:%H:%M}", f"{hours.end:%H:%M}") == (text, begin, end.replace("24:00", "00:00"))


def denied_by(folder, content, region):
    """The deny list with that content."""
    (folder / "deny.txt").write_bytes(content)
    return denylist.load(Profile("p", region=region, guard=Guard(deny="deny.txt"), directory=folder))


@tries(400)
@given(st.lists(st.tuples(numbers, st.sampled_from(["", "  ", " # why", "#+18145550199"])), max_size=6), regions)
@example([("+490301234567", "")], None)
def test_a_number_on_the_deny_list_is_denied_however_it_is_written(tmp_path, lines, region):
    """If dial would ring the text of a line, the list denies that number."""
    assume(not any(re.search(r"#|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029\ud800-\udfff]", text) for text, _ in lines))
    read = {}
    for text, _ in lines:
        with contextlib.suppress(EvocallError):
            read[text] = phone.read(text, region=region).e164
    content = "\n".join(text + rest for text, rest in lines).encode()
    if any(text.strip() and text not in read for text, _ in lines):
        with contextlib.suppress(ConfigError):
            denied_by(tmp_path, content, region)
        return
    denied = denied_by(tmp_path, content, region)
    assert all(e164 in denied for e164 in read.values())


@tries(200)
@given(words.filter(lambda text: not re.search(r"[#\d\ud800-\udfff]", text) and text.split() != []), regions)
def test_a_line_of_a_deny_list_that_is_no_number_is_never_skipped(tmp_path, text, region):
    with pytest.raises(ConfigError, match=r"line \d+"):
        denied_by(tmp_path, f"+18145550199\n{text}\n".encode(), region)


@tries(300)
@given(st.binary(max_size=60) | words.map(lambda text: text.encode(errors="replace")), regions)
def test_any_bytes_are_a_deny_list_or_a_configuration_error(tmp_path, content, region):
    with contextlib.suppress(ConfigError):
        assert NUMBER.e164 not in denied_by(tmp_path, content, region)


# the profile file


NAMES = ["a", "b.c", "", "[x]", "x = 1", "ü", '"', "\\"]
VALUES = [
    "1",
    "0",
    "-1",
    "1e300",
    "1e-320",
    "inf",
    "nan",
    "1" + "0" * 400,
    "9" * 5000,
    "true",
    "1979-05-27",
    '""',
    '"US"',
    '"\\u0000"',
    '"a\\u0000b"',
    '"\\u001b[2J"',
    '"~nobody-of-that-name/x"',
    '"08:00-21:00"',
    '"http://127.0.0.1:1"',
    '"https://[::1"',
    '"https://a\\\\b"',
    '"https://ü.example"',
    '"https://evovoice.io:99999"',
    '"+18145550100"',
    '["US"]',
    "[[], 1]",
    "[" * 2000 + "]" * 2000,
    "{}",
    '{a = "+18145550100"}',
    '"""\nregion = "DE" # x\n[profiles.a]\n"""',
    "'''\nregion = " + "9" * 5000 + " # x\n'''",
    "'''\nflow = " + "[" * 3000 + " # x\n'''",
]
KEYS = [*PROFILE_KEYS, *(f"guard.{key}" for key in GUARD_KEYS), "flows.a", "contacts.x"]
tables = st.sampled_from(
    ["[profiles.a]", '[profiles."b.c"]', "[profiles.a.guard]", "[profiles]", "[[profiles.a]]", "[x"]
)
assignments = st.builds("{} = {}".format, st.sampled_from([*KEYS, "default_profile", '"x"']), st.sampled_from(VALUES))
lines = st.one_of(tables, assignments, st.sampled_from(["", "# a comment", "\t# [profiles.x]", "# \u2028"]), writable)
SPELLINGS = {
    "flow": [
        '"x"',
        "'x' # why",
        '"""\nregion = "DE" # x\n[profiles.a]\n"""',
        "'''\nflow = " + "9" * 5000 + " # x\n'''",
    ],
    "username": ['"x#y"', '"\\"#" # why', "'''\nflow = " + "[" * 3000 + " # x\n'''"],
    "timeout": ["1", "1e3 # s", "1_0.5"],
    "region": ['"US"'],
    "guard.countries": ['["US"]', '[\n  "US", # here\n  "CA",\n]', "[]"],
    "guard.max_per_day": ["5", "0x10"],
    "contacts": ['{x = "+18145550100"}'],
    "flows.a": ['"f"'],
    "contacts.x": ['"+18145550100"'],
}
good_lines = st.sampled_from(list(SPELLINGS)).flatmap(
    lambda key: st.tuples(st.just(key), st.sampled_from(SPELLINGS[key]))
)
good_files = st.builds(
    lambda lines, comments, end: end.join(
        ["[profiles.a]", *(f"{comment}{key} = {value}" for (key, value), comment in zip(lines, comments, strict=False))]
    ).encode(),
    st.lists(good_lines, max_size=5, unique_by=lambda line: line[0]),
    st.lists(st.sampled_from(["", "  ", "# a comment\n", "\n"]), min_size=5, max_size=5),
    st.sampled_from(["\n", "\r\n"]),
)
files = st.builds(
    lambda content, end, mark: (mark + end.join(content)).encode("utf-8", "surrogatepass"),
    st.lists(lines, max_size=7),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["", "\ufeff"]),
)


def parsed(content):
    """The values of a TOML file, None when it has none; NaN made comparable."""
    try:
        return json.loads(json.dumps(tomllib.loads(content.decode("utf-8-sig").replace("\r\n", "\n")), default=str))
    except (ValueError, RecursionError):
        return None


def changed(document, keys, value):
    """The values after one key was set, or taken out."""
    first, *rest = keys
    if rest:
        return {**document, first: changed(document.get(first, {}), rest, value)}
    kept = {key: held for key, held in document.items() if key != first}
    return kept if value is None else {**kept, first: value}


@tries(500)
@given(
    st.binary(max_size=80) | files | good_files,
    st.sampled_from(["a", "a", "b.c", "ü", ""]),
    st.sampled_from([*KEYS, *SPELLINGS]),
    words | st.sampled_from(["7", "US", "08:00-21:00", "https://evovoice.io"]),
    st.booleans(),
)
@example(b"[[profiles.a]]", "a", "flow", "x", False)
@example(b"[profiles.a]\n", "a", "flow", "\udcff", False)
def test_a_profile_file_is_edited_exactly_or_left_alone(tmp_path, content, name, key, text, remove):
    """Any bytes are a configuration or a ConfigError; an edit changes its key and nothing else, or not a byte.

    It is refused only for a file that is wrong already, for a wrong value, or for a key to remove that is not there.
    """
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    keys = ("profiles", name, *key.split(".", 1))
    must_work = False
    try:
        profiles.load(path)
        value = None if remove else typed_value(keys[2:], text)
        must_work = value is not None and not re.search(r"[\ud800-\udfff]", text)
    except EvocallError:
        value = None if remove else text
    try:
        if remove:
            profiles.remove_value(path, keys)
        else:
            profiles.set_value(path, keys, value)
    except EvocallError:
        assert not must_work
        assert path.read_bytes() == content
        return
    assert parsed(path.read_bytes()) == changed(parsed(content), keys, value)
    profiles.load(path)


@tries(200)
@given(
    st.lists(assignments, min_size=1, max_size=4),
    st.lists(assignments.filter(lambda line: "guard" in line), max_size=2),
)
@example(["pace = 1e-320"], [])
@example(["flow = 'f'"], ['guard.deny = "a\\u0000b"'])
def test_whatever_a_profile_says_no_command_meets_a_defect(evocall, home, config, settings_of, limits):
    """A value that a command cannot use is named when the file is read, not stumbled over later."""
    body = "\n".join(line for line in settings_of if not line.startswith(("password_", "guard.")))
    path = config(
        f"[profiles.a]\nusername = 'u'\n{body}\n" + "\n".join(["[profiles.a.guard]", *limits]).replace("guard.", "")
    )
    try:
        chosen = profiles.load(path).choose("a", {})
    except ConfigError:
        return
    (home / "rows.csv").write_text("number\n+18145550100\n")
    batch = ("batch", str(home / "rows.csv"), "--campaign", "c", "--dry-run", "--flow", "f", "--profile", "a")
    for command in (("check", "+18145550100", "-p", "a"), batch, ("profile", "show", "a"), ("profile", "list")):
        result = evocall(*command)
        assert (result.code, "defect" in result.err) != (1, True), (command[0], result.err, chosen)


@tries(40)
@given(
    st.sampled_from(["timeout", "connect_timeout", "base_url", "password_file", "password_command", "keyring_backend"]),
    st.sampled_from(VALUES),
)
@example("connect_timeout", "1e300")
@example("timeout", "1e300")
@example("password_file", '"a\\u0000b"')
def test_whatever_a_profile_says_a_login_meets_no_defect(evocall, config, monkeypatch, key, value):
    """The settings that only a connection or a password uses."""
    address = f"base_url = 'http://127.0.0.1:{free_port()}'\n" if key != "base_url" else ""
    password = "" if key.startswith(("password", "keyring")) else "password_command = 'echo correct horse'\n"
    path = config(f"[profiles.a]\nusername = 'u'\n{address}{password}{key} = {value}\n")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_port()}")
    with contextlib.suppress(ConfigError):
        profiles.load(path)
        result = evocall("whoami")
        assert (result.code, "defect" in result.err) != (1, True), result.err


# the rows of a campaign


ENCODINGS = sorted(
    {*encodings.aliases.aliases.values(), "utf-8-sig", "idna", "punycode", "raw_unicode_escape", "\udcff"}
)
cells = writable | st.sampled_from(["number", "key", "+18145550100", "'1", "=1+1", '"', "\t", ";", ",", "1.0", "1e5"])
CSV_TEXT = st.lists(st.lists(cells, max_size=4).map(",".join), max_size=5).map("\n".join).map("number,key,x\n{}".format)
JSON_TEXT = st.lists(
    st.dictionaries(
        st.sampled_from(["number", "key", "flow", "x"]), st.none() | words | st.integers() | st.floats()
    ).map(json.dumps)
    | writable,
    max_size=5,
).map("\n".join)


def encoded(text, name):
    """The text in that encoding, as far as it goes."""
    try:
        return text.encode(name, "replace")
    except (LookupError, ValueError):
        return text.encode()


@tries(500)
@given(CSV_TEXT | JSON_TEXT, st.binary(max_size=30), st.sampled_from(ENCODINGS), st.booleans())
def test_rows_in_any_encoding_are_read_the_same_twice_or_refused(tmp_path, text, tail, encoding, as_json):
    """And each row leads to a number, or to a reason in words."""
    path = tmp_path / ("rows.jsonl" if as_json else "rows.csv")
    path.write_bytes(encoded(text, encoding) + tail)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of Python, about escapes that only its own codecs know
        try:
            table = rows.opened(str(path), encoding=encoding, number_column="number")
        except UsageError:
            return
        with contextlib.closing(table), contextlib.suppress(UsageError):
            read = list(table)
            assert read == list(table)
            assert all(before.line < after.line for before, after in pairwise(read))
            for row in read:
                assert all(isinstance(cell, str) for cell in (row.number, row.flow, row.caller_id, row.key, *row.cells))
                rows.damage(row.number, None)
                with contextlib.suppress(EvocallError):
                    phone.read(row.number)


@tries(150)
@given(CSV_TEXT | JSON_TEXT, st.booleans(), st.sampled_from([".csv", ".jsonl"]), words)
@example('{"number": "1"}\nno JSON', True, ".csv", "s1")
@example('{"number": "1", "x": "\\ud800"}', True, ".csv", "s1")
def test_results_have_every_row_as_it_was(tmp_path, text, as_json, ending, said):
    """Written after the calls were placed, they may fail for the disk only: nobody gets the calls back."""
    path, target = tmp_path / ("rows.jsonl" if as_json else "rows.csv"), tmp_path / f"results{ending}"
    path.write_text(text, encoding="utf-8", newline="")
    target.unlink(missing_ok=True)
    try:
        table = rows.opened(str(path), encoding=None, number_column="number")
    except UsageError:
        return
    with contextlib.closing(table):
        read = list(table)
        call = Call(Outcome.PLACED, session_id=said.encode(errors="backslashreplace").decode(), id="0001")
        results.write(target, table, lambda _: ("placed", call, Rejected("refused")))
        with target.open(encoding="utf-8", newline="") as file:
            written = list(map(json.loads, file)) if ending == ".jsonl" else list(csv.DictReader(file))
    assert len(written) == len(read)
    for row, result in zip(read, written, strict=True):
        assert "placed" in {result.get("outcome"), result.get("evocall_outcome")}
        if ending == ".csv" and len(set(table.columns)) == len(table.columns):
            kept = {column: cell for column, cell in zip(table.columns, row.cells, strict=False) if cell.isprintable()}
            assert {column: result[column] for column in kept} == kept


# what the service answers


FIELDS = [
    *("id", "Id", "callSid", "responseStatus", "ResponseStatus", "errorCode", "message", "errors", "fieldName"),
    *("roles", "accountNames", "isAuthenticated", "items", "hasMorePages", "totalPages", "calls", "log", "date"),
    *("dateCreated", "toAddress", "direction", "ended", "outcome", "sid", "status", "to", "name", "phoneNumber"),
]
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    words,
    st.sampled_from(
        [10**4000, "/Date(99999999999999999999)/", "/Date(-1)/", "2026-11-23T09:00:00Z", "9999-12-31T23:59:59-14:00"]
    ),
)
documents = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS) | words, inner, max_size=5),
    max_leaves=12,
)
errors_said = st.fixed_dictionaries(
    {
        "responseStatus": st.fixed_dictionaries(
            {}, optional={"errorCode": documents, "message": documents, "errors": documents}
        )
    }
)
sessions_told = st.fixed_dictionaries({}, optional={"id": documents, "callSid": documents, "Id": documents})
json_bodies = (documents | errors_said | sessions_told).map(lambda value: json.dumps(value).encode())
bodies = st.one_of(
    json_bodies,
    st.tuples(json_bodies, st.integers(0, 60)).map(lambda cut: cut[0][: cut[1]]),
    st.binary(max_size=40),
    st.sampled_from(
        [
            b"",
            b" ",
            b'{"id": "s1"',
            b'{"id": 1e999, "x": NaN}',
            b"9" * 5000,
            b"[" * 400 + b"]" * 400,
            b"[" * 9000 + b"]" * 9000,
            b'{"responseStatus":{"message":' + b"[" * 400 + b"]" * 400 + b"}}",
            b"<!DOCTYPE html><html>",
            b"\xef\xbb\xbf{}",
            b"\xff\xfe{\x00}\x00",
        ]
    ),
)
DATES = ["Fri, 01 Jan 2027 00:00:00 GMT", "Fri, 01 Jan 99999999999999999999 00:00:00 GMT", "31 Dec 9999 23:59:59 -2359"]
dates = st.one_of(words, st.sampled_from(DATES), st.text("0123456789 :+-,GMTJanFri", max_size=30))
LOCATIONS = [
    "/login?redirect=%2f",
    "https://elsewhere.example/",
    "http://[",
    "//[x/login",
    "http://℀.com/signin",
    "mailto:x",
]
header_values = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from(
            ["application/json", "APPLICATION/JSON; charset=utf-8", "text/html", "text/plain"]
        )
        | words,
        "location": st.sampled_from(LOCATIONS) | words,
        "retry-after": st.sampled_from(["0", "7", "61", "9" * 400, "-1", "1.5", "²", "nan", "inf"]) | dates,
        "date": dates,
        "www-authenticate": words,
    },
)
STATUSES = [200, 201, 204, 299, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 409, 429, 500, 502, 503, 504, 599]
statuses = st.sampled_from(STATUSES) | st.integers(100, 999)
replies = st.builds(Reply, statuses, words, header_values, bodies, st.none() | st.just("it broke off"))


class Canned:
    """In the place of the wire: every request is answered with the same reply."""

    def __init__(self, reply):
        self.reply = reply

    def exchange(self, *_, **__):
        return self.reply

    def close(self):
        pass


def service_that_answers(reply, sign_in="basic"):
    """The service behind a wire that always brings this reply."""
    service = Service(Profile("p", "https://evovoice.example", LOGIN.username, sign_in=sign_in), LOGIN)
    service.close()
    service._wire = Canned(reply)
    return service


def is_whole_json(body):
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def assert_judged_by(status, media_type, body, flaw, answer):
    """The three-way outcome agrees with what was received, whatever else was in it."""
    start = body.lstrip()[:1]
    if 200 <= status < 300:
        assert answer.outcome in {Outcome.PLACED, Outcome.UNKNOWN}
        if flaw or "html" in media_type or start == b"<" or status == 206:
            assert answer.outcome is Outcome.UNKNOWN
        if body.strip() and ("json" in media_type or start in {b"{", b"["}) and not is_whole_json(body):
            assert answer.outcome is Outcome.UNKNOWN, "half of an answer was taken for a whole one"
    elif status == 503 or 400 <= status < 500:
        assert answer.outcome is Outcome.NOT_PLACED
    elif status in {301, 302, 303, 307, 308}:
        assert answer.outcome in {Outcome.NOT_PLACED, Outcome.UNKNOWN}
    else:
        assert answer.outcome is Outcome.UNKNOWN
    assert (answer.error is None) == (answer.outcome is Outcome.PLACED)
    assert not answer.resend or (status in {429, 503} and answer.outcome is Outcome.NOT_PLACED)


@tries(1000)
@given(replies)
@example(Reply(307, "", {"location": "http://["}, b"", None))
@example(Reply(200, "", {}, b'{"id": "s1', None))
@example(Reply(429, "", {"retry-after": "Fri, 01 Jan 99999999999999999999 00:00:00 GMT"}, b"", None))
def test_a_reply_means_what_its_status_and_its_wholeness_say(reply):
    """Nothing in a reply raises, none but a whole one says that a call was placed, and no 5xx but 503 denies it."""
    answer = service_that_answers(reply).place(DialRequest("f", NUMBER.e164))
    assert_judged_by(reply.status, reply.media_type, reply.body, reply.flaw, answer)
    assert answer.error is None or isinstance(answer.error, EvocallError)
    assert answer.session_id is None or answer.session_id == output.clean(answer.session_id)
    assert answer.retry_after is None or answer.retry_after >= 0


@tries(300)
@given(replies, st.sampled_from(["basic", "cookies"]))
def test_whatever_is_read_from_the_service_is_understood_or_refused(reply, sign_in):
    """Signing in, who we are, and the lists: other people's words all of them."""
    service = service_that_answers(reply, sign_in)
    with contextlib.suppress(EvocallError):
        identity = service.whoami()
        assert identity.may_dial in {None, True, False}
    for ask in (
        lambda: list(catalog.flows(service)),
        lambda: list(catalog.numbers(service, "1")),
        lambda: catalog.flow_named(service, "welcome"),
        lambda: sessions.by_id(service, "s1"),
        lambda: sessions.to_number(service, NUMBER.e164, datetime(2026, 11, 23, tzinfo=UTC).date()),
        lambda: list(sessions.live(service)),
    ):
        with contextlib.suppress(EvocallError):
            ask()


@tries(500)
@given(dates | st.text("0123456789", max_size=400), dates | st.none())
def test_any_retry_after_is_a_wait_or_nothing(text, date):
    reply = Reply(503, "", {"retry-after": text, **({} if date is None else {"date": date})}, b"")
    wait = answers.retry_after(reply)
    assert wait is None or wait >= 0


@tries(200)
@given(st.integers(0, 4 * 10**9), st.integers(-(10**6), 10**6))
def test_a_date_to_wait_for_counts_from_the_date_of_the_reply(now, seconds):
    assume(now + seconds >= 0)
    headers = {"retry-after": formatdate(now + seconds, usegmt=True), "date": formatdate(now, usegmt=True)}
    assert answers.retry_after(Reply(503, "", headers, b"")) == max(0, seconds)


# what the journal keeps of an answer


PLAN = Plan(NUMBER, Flow("f"), None, Profile("p", "https://evovoice.example", LOGIN.username))


@pytest.fixture
def journal(home):
    with Journal(home / "journal.db") as opened:
        yield opened


def place(journal, reply, waits):
    """One dial, answered always by this reply; the call, or the call of its error."""
    clock, service = Clock(sleep=waits.append, pause=waits.append), service_that_answers(reply)
    try:
        return placing.place(PLAN, service, journal, Terms(again=True), tell=lambda _: None, clock=clock)
    except EvocallError as error:
        return error.call


@tries(250)
@given(replies)
def test_any_answer_is_remembered_as_it_was_reported(journal, reply):
    """What the history shows of a call is what its receipt said, and both are JSON to any other program."""
    waits = []
    reported = place(journal, reply, waits)
    assert reported is not None
    assert all(0 <= wait <= placing.PATIENCE for wait in waits)
    [record] = journal.history.calls(Filter(limit=1))
    kept = record.call
    whole = ["response"] if len(reply.body) < 10_000 else []
    for name in ("outcome", "http_status", "session_id", "error", "number", "flow", *whole):
        assert getattr(kept, name) == getattr(reported, name)
    for call in (kept, reported):
        assert json.loads(json.dumps(wording.call_document(call)), parse_constant=pytest.fail)


@pytest.mark.parametrize("depth", [*range(800, 1000, 8), 3000, 9000])
def test_an_answer_nested_to_the_limit_can_be_shown_and_read_again(journal, depth):
    """How deep Python can read depends on who asks: what a thread of a batch has read, every later command must."""
    body = b'{"id": "s1", "log": ' + b"[" * depth + b"]" * depth + b"}"
    calls = []
    worker = threading.Thread(
        target=lambda: calls.append(place(journal, Reply(200, "OK", {"content-type": "application/json"}, body), []))
    )
    worker.start()
    worker.join()
    [call] = calls
    assert json.dumps(wording.call_document(call), indent=2)
    [record] = journal.history.calls(Filter(limit=1))
    assert record.call.outcome == call.outcome


# replies on the wire


CUT_CHUNKS = {"half chunk": b"", "half last chunk": b"0", "chunks without their end": b"0\r\n"}
LENGTHS = {"length": 0, "longer": 7, "shorter": -3}
NO_BREAKS = str.maketrans("", "", "\r\n")
on_one_line = words.map(lambda text: text.translate(NO_BREAKS))


@st.composite
def wire_replies(draw):
    """A status, bytes with that status, headers that may be broken, and a body framed rightly or not."""
    status = draw(statuses)
    fields = {**draw(header_values), **draw(st.dictionaries(on_one_line, on_one_line, max_size=2))}
    body = draw(bodies)[:2000]
    framing = draw(st.sampled_from([*LENGTHS, "none", "chunks", *CUT_CHUNKS]))
    head = [f"HTTP/1.1 {interim} \r\n" for interim in draw(st.lists(st.sampled_from([100, 102, 103, 199]), max_size=3))]
    head.append(f"HTTP/1.{draw(st.integers(0, 1))} {status} {draw(on_one_line)}")
    head += [f"{name}: {value.translate(NO_BREAKS)}" for name, value in fields.items()]
    if framing in LENGTHS:
        head.append(f"Content-Length: {max(0, len(body) + LENGTHS[framing])}")
    if "chunk" in framing:
        head.append("Transfer-Encoding: chunked")
        last = CUT_CHUNKS.get(framing, b"0\r\n\r\n")
        body = (b"%x\r\n%s\r\n" % (len(body), body) if body else b"") + last
    return status, "\r\n".join([*head, "", ""]).encode("utf-8", "replace") + body, framing


@tries(120)
@given(wire_replies() | st.binary(max_size=60).map(lambda data: (None, data, "none")))
@example((200, b"HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 9\r\n\r\nnull", "longer"))
def test_no_bytes_on_the_wire_raise_or_are_taken_for_more_than_they_are(capfd, sent):
    """Through sockets and the libraries that read them, which must neither follow nor print anything."""
    status, data, framing = sent
    with FaultServer(answering(data)) as server:
        service = Service(Profile("p", server.base_url, LOGIN.username, timeout=5.0), LOGIN)
        with contextlib.closing(service):
            answer = service.place(DialRequest("f", NUMBER.e164))
    assert len(server.requests) == 1
    assert answer.outcome in {Outcome.PLACED, Outcome.NOT_PLACED, Outcome.UNKNOWN}
    if answer.outcome is Outcome.PLACED:
        assert status is None or 200 <= status < 300
        assert framing not in {"longer", *CUT_CHUNKS} or status == 204
    if answer.outcome is Outcome.NOT_PLACED:
        assert status is None or status == 503 or 300 <= status < 500
    captured = capfd.readouterr()
    assert (captured.out, captured.err) == ("", "")


# requests to the sandbox


@pytest.fixture
def conversation(monkeypatch):
    """What the sandbox answers to raw bytes; a thread of it that fails is a failure of the test."""
    failures = []
    monkeypatch.setattr(threading, "excepthook", failures.append)
    with Sandbox() as server:
        port = int(server.base_url.rpartition(":")[2])

        def ask(data):
            with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
                received = b""
                with contextlib.suppress(ConnectionError):
                    sock.sendall(data)
                    sock.shutdown(socket.SHUT_WR)
                    while more := sock.recv(65536):
                        received += more
            assert not failures, failures
            return received

        yield ask


@st.composite
def requests_of_any_kind(draw):
    """A request that is one, more or less."""
    path = draw(
        st.sampled_from(
            [
                "/sessions/outgoing",
                "/sessions",
                "/flows",
                "/auth/credentials",
                "/auth",
                "/json/reply/NewOutgoingSession",
            ]
        )
        | words.map("/{}".format)
    )
    body = draw(
        st.one_of(
            st.dictionaries(
                st.sampled_from(["numberToDial", "flowId", "callerId", "userName", "password"]), documents
            ).map(lambda value: json.dumps(value).encode()),
            bodies,
        )
    )
    fields = draw(
        st.dictionaries(
            st.sampled_from(
                ["Accept", "Content-Type", "Authorization", "Cookie", "Content-Encoding", "X-HTTP-Method-Override"]
            ),
            st.sampled_from(
                [
                    "application/json",
                    "application/xml",
                    "text/html",
                    "Basic bWFuYWdlckBleGFtcGxlLmNvbTpyaW5ncy1ub2JvZHk=",
                ]
            )
            | st.sampled_from(["Basic !", "gzip", "*/*", "ss-id=x", "application/x-www-form-urlencoded"])
            | words,
        )
    )
    query = draw(
        st.sampled_from(["", "?format=json", "?format=xml", "?callback=f", "?page=-1&countPerPage=x", "?%ff=%ff&a"])
    )
    fields["Content-Length"] = draw(st.just(str(len(body))) | st.sampled_from(["0", "-1", "x", "9" * 5000]))
    head = [f"{draw(st.sampled_from(['GET', 'POST', 'DELETE', 'HEAD', 'X']))} {path}{query} HTTP/1.1"]
    head += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*head, "", ""]).encode("utf-8", "replace") + body


@tries(250)
@given(
    requests_of_any_kind()
    | st.binary(max_size=80)
    | words.map(lambda text: text.encode("utf-8", "replace") + b"\r\n\r\n")
)
def test_any_request_to_the_sandbox_is_answered_or_ends(conversation, data):
    """With HTTP or with the end of the connection, and without hurting the next one."""
    received = conversation(data)
    assert received == b"" or re.match(rb"HTTP/1\.1 \d{3} [^\r\n]*\r\n", received)
    assert conversation(b"GET /auth/status HTTP/1.1\r\nAccept: application/json\r\n\r\n").startswith(b"HTTP/1.1 200 ")


# what is shown


class Terminal(io.StringIO):
    """A terminal that remembers what was written to it."""

    def isatty(self):
        return True


SGR = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def on_a_terminal(monkeypatch):
    """What is shown on a terminal with colours, stdout and stderr together."""
    monkeypatch.setenv("TERM", "xterm-256color")

    def run(show):
        seen = Terminal()
        with contextlib.redirect_stdout(seen), contextlib.redirect_stderr(seen):
            show(Screen())
        return seen.getvalue()

    return run


def everywhere(word):
    """Shows the word in every place where somebody else's words may stand."""

    def show(screen):
        call = Call(Outcome.PLACED, NUMBER.e164, word, session_id=word, id="0001", error={"message": word})
        screen.call(call, Plan(NUMBER, Flow(word, word), None, PLAN.profile), word)
        screen.failure(Rejected(word, hint=word, said=word, fields=[FieldError(word, word)]), calling=True)
        screen.lines([(word, word)])
        screen.note(word)
        screen.problem(word)

    return show


@tries(150)
@given(words.filter(str.strip))
def test_no_word_from_outside_is_more_than_text_on_a_terminal(on_a_terminal, word):
    """No control character, no colour that a harmless word would not have, and all of the word itself."""
    shown, harmless = on_a_terminal(everywhere(word)), on_a_terminal(everywhere("x"))
    text = SGR.sub("", shown)
    assert all(line.isprintable() for line in text.split("\n"))
    assert sorted(SGR.findall(shown)) == sorted(SGR.findall(harmless))
    assert shown.count("\n") == harmless.count("\n")
    assert text.count(output.clean(word).strip()) >= 8


@tries(100)
@given(st.lists(st.tuples(words, words), min_size=1, max_size=4))
def test_no_cell_of_a_table_is_more_than_text_on_a_terminal(on_a_terminal, cells):
    shown = on_a_terminal(lambda screen: screen.table(("name", "value"), cells))
    harmless = on_a_terminal(lambda screen: screen.table(("name", "value"), [("x", "x")] * len(cells)))
    assert all(line.isprintable() for line in SGR.sub("", shown).split("\n"))
    assert set(SGR.findall(shown)) == set(SGR.findall(harmless))


@tries(60)
@given(words, st.sampled_from([lambda screen: screen.progress(1), lambda screen: screen.life()]))
@example("\x1b[2J", lambda screen: screen.progress(1))
@example("\x1b[2J", lambda screen: screen.life())
@example(":boom:", lambda screen: screen.life())
def test_no_note_above_a_moving_line_is_more_than_text(on_a_terminal, word, moving):
    """Those lines are drawn by moving the cursor; the words between them still may not."""

    def show(screen):
        with moving(screen) as line:
            line.note(f"({word})")

    assert f"({output.clean(word)})" in SGR.sub("", on_a_terminal(show))
