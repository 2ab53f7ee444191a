"""Where a journal is: URLs of databases, as libpq reads them, and never with their password shown."""

from contextlib import suppress
from urllib.parse import quote

import psycopg
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from psycopg import conninfo

from evocall.places import has_password, is_url, without_password

# What libpq itself hides where it shows its options.
HIDDEN = sorted(option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults() if option.dispchar == b"*")
HOSTS = st.sampled_from(
    [
        "",
        "db.example.com",
        "db.example.com:5433",
        "[::1]",
        "[2001:db8::1]:5433",
        "one.example.com:1,two.example.com:2",
        "[::1]:1,127.0.0.1,three:3",
        "%2Fvar%2Frun%2Fpostgresql",
        "%2Fvar%2Frun%2Fpostgresql:5433",
    ]
)
QUERIES = st.lists(
    st.sampled_from(
        [
            "host=/var/run/postgresql",
            "host=%2Fvar%2Frun%2Fpostgresql",
            "target_session_attrs=read-write",
            "sslmode=verify-full",
            "options=-csearch_path%3Done",
            "connect_timeout=3",
        ]
    ),
    max_size=3,
    unique_by=lambda pair: pair.partition("=")[0],
)
SCHEMES = st.sampled_from(["postgresql", "postgres"])
DATABASES = st.sampled_from(["", "/", "/evocall", "/evo%2Fcall"])
WORD = "Tr0ub4dor"
unhurried = settings(deadline=None)


def joined(query: list[str]) -> str:
    return f"?{'&'.join(query)}" if query else ""


@unhurried
@given(SCHEMES, HOSTS, DATABASES, QUERIES, st.sampled_from(["", "@", "evocall@", "evo%40call@"]))
def test_a_url_without_a_password_keeps_all_that_it_names(scheme, hosts, database, query, login):
    """Hosts, ports, sockets, IPv6 addresses, user and database are what libpq reads in the URL as it was given."""
    url = f"{scheme}://{login}{hosts}{database}{joined(query)}"
    assert is_url(url)
    assert not has_password(url)
    named = ("user", "port", "dbname", *(() if "host=" in joined(query) else ("host",)))
    meant = conninfo.conninfo_to_dict(url)
    shown = conninfo.conninfo_to_dict(without_password(url).partition("?")[0])
    assert [shown.get(name) for name in named] == [meant.get(name) for name in named]
    assert without_password(url) == without_password(without_password(url))


@unhurried
@given(st.text(min_size=1).filter(lambda text: "\0" not in text), HOSTS, DATABASES, QUERIES)
def test_a_password_that_is_written_as_it_should_be_is_read_and_not_shown(password, hosts, database, query):
    url = f"postgresql://evocall:{quote(password, safe='')}@{hosts}{database}{joined(query)}"
    assert is_url(url)
    assert conninfo.conninfo_to_dict(url)["password"] == password
    assert has_password(url)
    assert without_password(url) == without_password(url.replace(f":{quote(password, safe='')}@", "@"))


@unhurried
@given(st.text() | st.text("@:/?#&=%,[] \n\tab1"), HOSTS, DATABASES, QUERIES)
@example("1/x", "db.example.com", "/evocall", [])
@example("x@evil", "db.example.com", "/evocall", [])
@example("1?x", "db.example.com", "/evocall", [])
@example("a,b:1", "db.example.com", "/evocall", [])
def test_a_password_that_is_written_as_it_is_never_shows_any_part_of_itself(password, hosts, database, query):
    """An @ or a / in it would end it early; then the whole URL is refused."""
    url = f"postgresql://evocall:{password}@{hosts}{database}{joined(query)}"
    if is_url(url):
        assert has_password(url)
        assert without_password(url) == without_password(f"postgresql://evocall@{hosts}{database}{joined(query)}")
    else:
        with pytest.raises(ValueError):
            without_password(url)


@unhurried
@given(st.data(), st.sampled_from(HIDDEN), HOSTS, DATABASES, QUERIES)
def test_a_secret_among_the_options_is_not_shown_however_it_is_written(data, name, hosts, database, query):
    """Each letter of its name may be written as %70 as well."""
    letters = [data.draw(st.sampled_from([letter, f"%{ord(letter):02x}", f"%{ord(letter):02X}"])) for letter in name]
    at = data.draw(st.integers(0, len(query)))
    options = [*query[:at], f"{''.join(letters)}={WORD}", *query[at:]]
    url = f"postgresql://evocall@{hosts}{database}{joined(options)}"
    assert is_url(url)
    assert conninfo.conninfo_to_dict(url)[name] == WORD
    assert has_password(url)
    assert without_password(url) == without_password(f"postgresql://evocall@{hosts}{database}{joined(query)}")


@unhurried
@given(
    st.sampled_from(
        [
            f"postgresql://evocall:{WORD}@db.example.com/evocall",
            f"postgresql://evocall:{WORD}@[::1]:5433,two:2/evocall?sslmode=require",
            f"postgresql://db.example.com/evocall?user=evocall&password={WORD}&sslmode=require",
            f"postgres:///evocall?host=/tmp&sslpassword={WORD}",
        ]
    ),
    st.lists(st.tuples(st.floats(0, 1), st.integers(0, 2), st.sampled_from(["", *"@:/?#&=%,[] +;p", "%40", "%3d"]))),
)
def test_a_mangled_url_never_shows_what_libpq_takes_for_a_password(url, edits):
    """Something was typed, left out or put in another place."""
    for part, removed, typed in edits:
        at = int(part * len(url))
        url = url[:at] + typed + url[at + removed :]
    if not is_url(url):
        return
    shown = without_password(url)
    with suppress(psycopg.Error):
        meant = conninfo.conninfo_to_dict(url)
        secrets = [meant[name] for name in HIDDEN if len(str(meant.get(name) or "")) > 3]
        assert [secret for secret in secrets if secret in shown] == []
        assert has_password(url) or not secrets


def test_a_host_of_the_local_link_is_named_with_its_network():
    """Libpq reads %25 as the sign before it."""
    assert is_url("postgresql://evocall@[fe80::1%25eth0]:5433/evocall")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evocall.db",
        "/var/lib/evocall",
        "dbname=evocall password=x",
        "mysql://db.example.com/evocall",
        "postgresql:evocall",
        "postgresql:/db.example.com/evocall",
        "postgresql://db.example.com/evocall#x",
        "postgresql://db.example.com:port/evocall",
        "postgresql://[::1/evocall",
        "postgresql://a@b@c/evocall",
        "postgresql://db.example.com/a/b",
        "postgresql://db.example.com/evocall\n",
        " postgresql://db.example.com/evocall",
    ],
)
def test_what_names_no_database_is_no_url(text):
    assert not is_url(text)
    assert not has_password(text)


def test_a_url_that_hides_a_password_is_refused_without_showing_it(evocall, signed_in, monkeypatch):
    """The hint says how it is written."""
    monkeypatch.setenv("EVOCALL_JOURNAL", "postgresql://evocall:correct@horse@127.0.0.1/evocall")
    result = evocall("dial", "+18145550100")
    assert (result.code, signed_in.dials()) == (10, [])
    assert "%40" in result.err
    assert "horse" not in result.out + result.err


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db/evocall?user=e&password=horse",
        "postgresql://db/evocall?%70assword=horse",
        "postgresql://db/evocall?scram_client_key=horse",
        "postgresql://db/evocall?scram_server_key=horse",
        "host=db dbname=evocall password=horse",
    ],
)
def test_a_password_in_the_query_is_refused_without_showing_it(evocall, config, url):
    """On the command line, and in the profile file."""
    result = evocall("profile", "set", "journal", url)
    assert (result.code, "horse" in result.out + result.err) == (2, False)
    config(f'[profiles.default]\njournal = "{url}"\n')
    result = evocall("profile", "show")
    assert (result.code, "horse" in result.out + result.err) == (10, False)


def test_the_environment_needs_no_profile(evocall, config, monkeypatch, postgres):
    """Not even where several could be meant: all of them have this journal."""
    config("[profiles.one]\n[profiles.other]\n")
    assert evocall("history").code == 0
    monkeypatch.setenv("EVOCALL_JOURNAL", postgres.database())
    assert evocall("history").code == 0
    monkeypatch.setenv("EVOCALL_JOURNAL", "postgresql:")
    assert evocall("history").code == 10
