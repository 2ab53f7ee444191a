"""Tables as spreadsheets, scripts and pipes make them: what each row says, and what is wrong with it, by name."""

import contextlib
import io
import json
import os
import sys
import tempfile
import threading

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from evocall import rows
from evocall.errors import Refused, UsageError
from evocall.model import Campaign, Profile
from evocall.planning import Planner
from evocall.reading import Order, Reader

NUMBER, OTHER = "+18145550100", "+18145550101"


@pytest.fixture
def table(tmp_path):
    """The table in a file of these bytes."""
    opened = []

    def read(content, name="calls.csv", *, encoding=None, number_column="number"):
        while opened:
            opened.pop().close()
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        opened.append(rows.opened(str(path), encoding=encoding, number_column=number_column))
        return opened[-1]

    yield read
    for one in opened:
        one.close()


@pytest.fixture
def numbers(table):
    """The numbers in such a file."""

    def read(*arguments, **options):
        return [row.number for row in table(*arguments, **options)]

    return read


@pytest.fixture
def reason(table):
    """Why the only row of a table with this number is bad; None when it is not."""

    def judge(number, region=None):
        profile = Profile("default", "http://127.0.0.1:1", "ops@example.com", flow="welcome")
        planner = Planner(profile, region=region)
        order = Order(Campaign("spring", "localhost", "default", "welcome", None), pace=1)
        rows_read = table(f'number\n"{number.replace(chr(34), chr(34) * 2)}"\n')
        (row,) = rows_read
        try:
            Reader(rows_read, planner, order, None).plan(row)
        except (UsageError, Refused) as error:
            return error.message
        return None

    return judge


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\N{BOM}"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_reads_every_delimiter_mark_and_line_end_of_spreadsheets(table, delimiter, mark, end):
    lines = [["name", "number", "flow", "caller_id", "key"], ["Ann", NUMBER, "alert", OTHER, "k1"]]
    read = table(mark + end.join(delimiter.join(line) for line in lines) + end)
    (row,) = read
    assert ("name", "number", "flow", "caller_id", "key") == read.columns
    assert (2, NUMBER, "alert", OTHER, "k1", None) == (
        row.line,
        row.number,
        row.flow,
        row.caller_id,
        row.key,
        row.flaw,
    )


def test_a_last_line_without_an_end_is_a_row(numbers):
    assert [NUMBER, OTHER] == numbers(f"number\n{NUMBER}\n{OTHER}")


def test_a_table_of_headings_has_no_rows(numbers):
    assert [] == numbers("number,name\n")


def test_a_quoted_cell_may_hold_delimiters_quotes_and_line_breaks(table):
    """And is carried along as it is."""
    read = table(f'note,number\r\n"one; ""two"",\r\nthree",{NUMBER}\r\nplain,{OTHER}\r\n')
    assert [NUMBER, OTHER] == [row.number for row in read]
    assert 'one; "two",\r\nthree' == next(iter(read)).cells[0]


def test_lines_of_a_note_are_no_rows_of_their_own(table):
    """Whatever dates, codes and commas stand in them, before the number or after it."""
    note = "2026-11-23, called\n16501\nErie, PA\n, (no answer)\n"
    for content in (f'number,note\n{NUMBER},"{note}"\n', f'note,number\n"{note}",{NUMBER}\n'):
        (row,) = table(content)
        assert (NUMBER, None, True) == (row.number, row.flaw, note in row.cells)


UNCLOSED = {
    "to the end": f'number,name\n{NUMBER},Ann\n{OTHER},"Bob\n{NUMBER},Cid\n',
    "to the next quoted cell": f'number,name,city\n{NUMBER},Ann,Rome\n{OTHER},"Bob,Erie\n{NUMBER},"Cid",Rome\n',
    "to the next one that is not closed": f'number,name\n{NUMBER},Ann\n{OTHER},"Bob\n{NUMBER},Cid\n{OTHER},Dan"\n',
    "ditto marks": f'number,city\n{NUMBER},Erie\n{OTHER},"\n+18145550102,"\n+18145550103,Erie\n',
    "ditto marks and one number": f'number,city\n{NUMBER},Erie\n{OTHER},"\n{OTHER},"\n{NUMBER},Erie\n',
    "ditto marks before the number": f'city,number\nErie,{NUMBER}\n",{OTHER}\n",{NUMBER}\n',
    "a comma in a quoted cell": f'name,number,city\nA,{NUMBER},B\n"C, D",{NUMBER},"Erie\nLee,{OTHER},Rome\nMy,x,"\n',
    "too many cells": f'number,name\n{NUMBER},Ann\n{OTHER},"Bob\n{NUMBER},Cid\n",Dan\n',
    "quoted numbers": f'number,city\n"{NUMBER}",Erie\n"{OTHER}","Rome\n{NUMBER},Bonn"\n',
    "carriage returns": f'number,name\r{NUMBER},Ann\r{OTHER},"Bob\r{NUMBER},"\r',
    "national format": 'number;city\n8145550100;Erie\n(814) 555-0101;"\n814-555-0102;"\n',
    "a huge file": f'number,name\n{NUMBER},Ann\n{OTHER},"Bob\n' + 100_000 * f"{NUMBER},Cid\n",
}


@pytest.mark.parametrize("how", UNCLOSED)
def test_a_quote_that_is_not_closed_hides_no_row(table, how):
    """Which rows it has swallowed nobody can know, so the file is refused, with the row in which it opens."""
    with pytest.raises(UsageError, match="a quote in row 3 is not closed") as refused:
        list(table(UNCLOSED[how]))
    assert "quotes" == refused.value.code
    assert '""' in refused.value.hint


@pytest.mark.parametrize("heading", ['number,"name', f'number,"name\n{OTHER},"'])
def test_a_quote_that_is_not_closed_in_the_headings_hides_no_row(table, heading):
    with pytest.raises(UsageError, match="a quote in row 1 is not closed"):
        table(f"{heading}\n{NUMBER},Ann\n")


def test_headings_may_have_line_breaks(numbers):
    assert [NUMBER] == numbers(f'number,"name,\nas in the passport"\n{NUMBER},Ann\n')


@pytest.mark.parametrize("line", [f'{OTHER},"Bob"by"', f'{OTHER},"the ""boss"" " ', f'"{OTHER}"0,Bob'])
def test_a_quote_within_one_line_makes_that_row_bad_only(table, line):
    """It was not doubled, or something follows the quote that ends the cell."""
    first, bad, last = table(f"number,name\n{NUMBER},Ann\n{line}\n{NUMBER},Cid\n")
    assert ((2, None), (4, None)) == ((first.line, first.flaw), (last.line, last.flaw))
    assert (3, line.strip(), True) == (bad.line, bad.number, "quote" in bad.flaw)


def test_a_quote_that_is_not_closed_in_the_last_line_makes_that_row_bad(table):
    (bad,) = table(f'number,name\n{NUMBER},"Ann\n')
    assert (2, f'{NUMBER},"Ann', True) == (bad.line, bad.number, "quote" in bad.flaw)


def test_a_file_that_grows_is_read_as_it_was_when_it_was_opened(table, tmp_path):
    """The rows that came since, and the rest of a number that was being written, nobody has checked."""
    read = table(f"number\n{NUMBER}\n{OTHER}")
    with (tmp_path / "calls.csv").open("a") as file:
        file.write(f"99\n{OTHER}\n")
    assert [NUMBER, OTHER] == [row.number for row in read]
    (tmp_path / "calls.csv").write_text("")
    assert [NUMBER, OTHER] == [row.number for row in read]


def test_without_room_for_a_copy_there_is_no_table(table, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    with pytest.raises(UsageError, match="cannot be copied") as refused:
        table(f"number\n{NUMBER}\n")
    assert "TMPDIR" in refused.value.hint


def test_headings_count_without_case_and_spaces(numbers):
    assert [NUMBER] == numbers(f" Number , Name \n{NUMBER},Ann\n")


def test_a_row_with_fewer_cells_has_empty_ones(table):
    (row,) = table(f"number,flow,key\n{NUMBER}\n")
    assert (NUMBER, "", "", None) == (row.number, row.flow, row.key, row.flaw)


def test_a_row_with_too_many_cells_is_named_and_the_others_are_read(table):
    """A comma too many could have shifted the number."""
    read = list(table(f"name,number\nAnn,{NUMBER}\nLee, Bo,{OTHER}\nCy,{OTHER}\n"))
    assert [2, 3, 4] == [row.line for row in read]
    assert [None, "it has 3 cells, and the first line only 2", None] == [row.flaw for row in read]
    assert "+" not in read[1].flow + read[1].caller_id + read[1].key


def test_empty_lines_are_no_rows(table):
    """Also at the beginning of the rows and at the end; the others keep their places."""
    read = table(f"number\n\n{NUMBER}\n\r\n\n{OTHER}\n\n\n")
    assert [(3, NUMBER), (6, OTHER)] == [(row.line, row.number) for row in read]


def test_a_table_without_the_column_is_refused_with_what_it_has(table):
    with pytest.raises(UsageError, match="no column 'number'; its first line is phone, name") as refused:
        table(f"phone,name\n{NUMBER},Ann\n")
    assert "no_number_column" == refused.value.code
    assert "--number-column" in refused.value.hint


def test_number_column_names_another_column(numbers):
    assert [NUMBER] == numbers(f"number,Mobile\nold,{NUMBER}\n", number_column="mobile")


def test_a_column_that_stands_twice_is_refused(table):
    """Nobody can say which one is meant."""
    with pytest.raises(UsageError, match="more than one column 'number'"):
        table(f"number,Number\n{NUMBER},{OTHER}\n")


@pytest.mark.parametrize("content", [b"", b"\n", b"\xef\xbb\xbf", b"\r\n\r\n"])
def test_an_empty_file_is_refused(table, content):
    with pytest.raises(UsageError) as refused:
        table(content)
    assert "no_number_column" == refused.value.code


@pytest.mark.parametrize("path", ["missing.csv", "."])
def test_a_file_that_cannot_be_opened_is_refused(tmp_path, path):
    with pytest.raises(UsageError, match="cannot be read"):
        rows.opened(str(tmp_path / path), encoding=None, number_column="number")


def test_umlauts_in_utf_8_are_carried_along(table):
    (row,) = table(f"name,number\nJürgen Şahin 李,{NUMBER}\n")
    assert "Jürgen Şahin 李" == row.cells[0]


def test_windows_1252_is_read_only_when_told(table):
    """Else the error names the option that reads it, since another encoding would read it as something else."""
    content = f"name,number\nJürgen €,{NUMBER}\n".encode("cp1252")
    with pytest.raises(UsageError) as refused:
        list(table(content))
    assert "encoding" == refused.value.code
    assert "--encoding windows-1252" in refused.value.hint
    assert ["Jürgen €"] == [row.cells[0] for row in table(content, encoding="windows-1252")]


def test_a_wrong_byte_far_down_is_an_error_too(table):
    """Not only in what the first look reads."""
    content = b"number,name\n" + 20_000 * f"{NUMBER},Ann\n".encode() + b"\xfc\n"
    with pytest.raises(UsageError, match="is not utf-8"):
        list(table(content))


@pytest.mark.parametrize("encoding", ["nonsense", "hex", "rot13"])
def test_an_encoding_that_nobody_knows_is_refused(table, encoding):
    with pytest.raises(UsageError, match=f"--encoding '{encoding}' is not known"):
        table(f"number\n{NUMBER}\n", encoding=encoding)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "undefined", "punycode"])
def test_an_encoding_that_does_not_fit_is_refused(table, encoding):
    """Whichever error its decoder raises."""
    with pytest.raises(UsageError):
        list(table(f"number\n{NUMBER}\n", encoding=encoding))


def test_utf_16_of_spreadsheets_is_read_when_told(numbers):
    assert [NUMBER] == numbers(f"number\tname\r\n{NUMBER}\tÖzil\r\n".encode("utf-16"), encoding="utf-16")


@pytest.mark.parametrize("named", ["Telefon", "telefon", "TELEFON"])
def test_names_in_json_lines_may_be_in_any_case(table, named):
    """As headings may; the row is carried on as it is written."""
    fields = {"TeleFon": NUMBER, "Flow": "alert", "CALLER_ID": OTHER, "Key": "k1", "Note": "x"}
    (row,) = table(json.dumps(fields), "calls.jsonl", number_column=named)
    assert (row.number, row.flow, row.caller_id, row.key) == (NUMBER, "alert", OTHER, "k1")
    assert row.origin == fields


def test_a_json_object_with_two_numbers_is_named_and_neither_is_guessed(table):
    bad, good = table(
        f'{{"number": "{NUMBER}", "Number": "{OTHER}"}}\n{{"number": "{OTHER}", "x": 1, "X": 2}}\n', "calls.jsonl"
    )
    assert (bad.number.startswith("{"), bad.flaw) == (True, "it has more than one 'number'")
    assert (good.number, good.flaw) == (OTHER, None)


@pytest.mark.parametrize(
    ("line", "twice"),
    [
        (f'{{"number": "{NUMBER}", "number": "{OTHER}"}}', "number"),
        (f'{{"number": "{NUMBER}", "note": {{"by": 1, "by": 2}}}}', "by"),
    ],
)
def test_a_json_object_with_one_name_twice_is_named_and_neither_is_guessed(table, line, twice):
    bad, good = table(f'{line}\n{{"number": "{OTHER}"}}\n', "calls.jsonl")
    assert (bad.number, bad.flaw) == (line[:60], f"it has more than one {twice!r}")
    assert (good.number, good.flaw) == (OTHER, None)


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.ndjson", "CALLS.JSONL"])
def test_reads_json_lines(table, name):
    """Numbers, null and nested values have a text; empty lines are no rows."""
    fields = {"number": NUMBER, "flow": None, "caller_id": OTHER, "key": 7, "tags": ["a", {"b": True}]}
    read = table(f'{json.dumps(fields)}\n\n  \n{{"number": "{OTHER}"}}\n', name)
    first, second = read
    assert ("number", "flow", "caller_id", "key", "tags") == read.columns
    assert (1, NUMBER, "", OTHER, "7") == (first.line, first.number, first.flow, first.caller_id, first.key)
    assert (4, OTHER, "") == (second.line, second.number, second.key)


@pytest.mark.parametrize(
    ("line", "flaw"), [("[1]", "not a JSON object"), ("5", "not a JSON object"), ("{", "not JSON"), ("x", "not JSON")]
)
def test_a_line_that_is_no_json_object_is_named_and_the_others_are_read(table, line, flaw):
    first, bad, last = table(f'{{"number": "{NUMBER}"}}\n{line}\n{{"number": "{OTHER}"}}\n', "calls.jsonl")
    assert ((NUMBER, None), (OTHER, None)) == ((first.number, first.flaw), (last.number, last.flaw))
    assert (2, f"it is {flaw}", line) == (bad.line, bad.flaw, bad.number)


def test_nesting_of_any_depth_is_a_row_or_a_flaw(table):
    """No recursion gives up in the middle."""
    for depth in (10, 900, 990, 1000, 100_000):
        (row,) = table(f'{{"number": {"[" * depth}{"]" * depth}}}\n', "calls.jsonl")
        assert (row.flaw is None) == row.number.startswith("[["), depth


@pytest.mark.parametrize("content", [f"number\n{NUMBER}\n", f'\n{{"number": "{NUMBER}"}}\n'])
def test_standard_input_is_read_as_often_as_needed(monkeypatch, content):
    """CSV, or JSON Lines when it begins like it."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    read = rows.opened("-", encoding=None, number_column="number")
    assert "standard input" == read.name
    assert [[NUMBER]] * 2 == [[row.number for row in read] for _ in range(2)]
    read.close()


def test_a_pipe_with_a_name_is_read_or_refused(tmp_path):
    """Such as the shell makes for <(...), which cannot be read twice."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_text, args=(f"number\n{NUMBER}\n",), daemon=True)
    writer.start()
    with (
        contextlib.suppress(UsageError),
        contextlib.closing(rows.opened(str(path), encoding=None, number_column="number")) as read,
    ):
        assert [[NUMBER]] * 2 == [[row.number for row in read] for _ in range(2)]
    writer.join(30)


@pytest.mark.parametrize(
    ("number", "named"),
    [
        ("1.81440E+10", "scientific notation"),
        ("1,8144E+10", "scientific notation"),
        ("1.8E10", "scientific notation"),
        ("18145550100", "it has no +"),
        (f"'{NUMBER}", "apostrophe"),
        (f"={NUMBER}", "formula"),
        (f'="{NUMBER}"', "formula"),
        ("=A1&B1", "formula"),
        (f"{NUMBER}.0", "ends in"),
        ("18145550100.0", "ends in"),
        (" 18145550100.0 ", "ends in"),
    ],
)
def test_what_a_spreadsheet_did_to_a_number_is_named(reason, number, named):
    assert named in reason(number)


@pytest.mark.parametrize("region", [None, "US", "DE", "AT"])
@pytest.mark.parametrize("decimals", [".0", ".0 ", ".00"])
def test_decimals_of_a_spreadsheet_are_never_dialled_as_digits(reason, decimals, region):
    """The full stop is a separator in numbers that people write, so the decimals could pass for digits."""
    for digits in ("18145550100", "8145550100", "49301234567", "4315891234"):
        assert reason(f"{digits}{decimals}", region) is not None, digits
        assert reason(f"+{digits}{decimals}", region) is not None, digits


def test_a_number_without_plus_is_good_when_the_region_tells_how_to_read_it(reason):
    assert None is reason("8145550100", "US")
    assert None is reason("(814) 555-0100", "US")


@pytest.mark.parametrize("number", ["-", "Ann", "+1", "5"])
def test_what_is_no_number_is_not_blamed_on_a_spreadsheet(reason, number):
    assert "spreadsheet" not in reason(number)


CELL = st.text(st.sampled_from("+1890.,;\t\r\n\"'= Eé\0{}[]:ab"), max_size=12)
LINES = st.lists(st.lists(CELL, max_size=4).map(",".join), max_size=6).map("\n".join).map(str.encode)
TABLES = st.one_of(
    st.binary(max_size=200),
    st.builds(bytes.__add__, st.sampled_from([b"number\n", b"\xef\xbb\xbfnumber;key\r\n", b"a\tnumber\r"]), LINES),
    st.builds(bytes.__add__, st.sampled_from([b"number\n", b'"number', b"number,key\n"]), st.binary(max_size=100)),
    st.builds(bytes.__add__, st.sampled_from([b'{"number": "1"}\n', b'{"number": ']), st.binary(max_size=100)),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=TABLES,
    name=st.sampled_from(["any.csv", "any.jsonl"]),
    encoding=st.sampled_from([None, "cp1252", "utf-16-le", "utf-16"]),
)
@example(content=b"number\n" + b"1" * 200_000, name="any.csv", encoding=None)
@example(content=b'number\n"' + b"1\n" * 100_000, name="any.csv", encoding=None)
@example(content=b'{"number": ' + b"1" * 5_000 + b"}", name="any.jsonl", encoding=None)
@example(content=b'{"number": 1e999, "key": "\\ud800"}', name="any.jsonl", encoding=None)
def test_any_bytes_give_the_same_rows_each_time_or_a_usage_error(table, content, name, encoding):
    try:
        read = table(content, name, encoding=encoding)
        first = list(read)
    except UsageError:
        return
    assert first == list(read)
