"""What people type, and what is understood of it: a number in E.164, or a refusal that says why."""

import contextlib
import re

import phonenumbers
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat

from evocall import guard, phone
from evocall.errors import EvocallError, ExitCode, InvalidNumber, Refused, UsageError
from evocall.model import GUARDED, NumberClass

E164 = re.compile(r"\+[1-9]\d{6,14}")
REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
CHARACTERS = st.characters(exclude_categories=[])
LOOKALIKES = st.text(st.sampled_from("+0123456789 ()-./x,;#*=telxEXT０９٣ー\u00ad\u200b\u200e\n"), max_size=25)  # noqa: RUF001


def refusal(text, region=None, *, allow=(), contacts=None):
    """The error that the text gives when it is read and guarded as for a call."""
    with pytest.raises(EvocallError) as raised:
        guard.refuse_class(phone.read(text, region=region, contacts=contacts), allow)
    return raised.value


@pytest.mark.parametrize(
    ("text", "region", "e164"),
    [
        ("+18144043093", None, "+18144043093"),
        ("  +1 (814) 404-3093\n", None, "+18144043093"),
        ("+1.814.404.3093", None, "+18144043093"),
        ("+1/814/404/3093", None, "+18144043093"),
        ("+1 814\u00a0404\u20113093", None, "+18144043093"),
        ("+1814404\u200b3093", None, "+18144043093"),
        ("(814) 404-3093", "US", "+18144043093"),
        ("814.404.3093", "us", "+18144043093"),
        ("1 814 404 3093", "US", "+18144043093"),
        ("020 7946 0958", "GB", "+442079460958"),
        ("030/1234567", "DE", "+49301234567"),
        ("8 800 555-35-35", "RU", "+78005553535"),
        ("06 6982", "IT", "+39066982"),
        ("+39 06 6982", None, "+39066982"),
        ("+44 (0)20 7946 0958", None, "+442079460958"),
        ("+54 9 11 2345 6789", None, "+5491123456789"),
        ("+683 4000", None, "+6834000"),
        ("+800 1234 5678", None, "+80012345678"),
    ],
)
def test_reads_a_number_as_people_write_it(text, region, e164):
    assert phone.read(text, region=region).e164 == e164


@pytest.mark.parametrize(
    ("text", "e164"),
    [
        ("+１８１４４０４３０９３", "+18144043093"),  # noqa: RUF001
        ("＋１ （８１４） ４０４－３０９３", "+18144043093"),  # noqa: RUF001
        ("+١٨١٤٤٠٤٣٠٩٣", "+18144043093"),
        ("+८१३१२३४५६७८", "+81312345678"),
    ],
)
def test_reads_digits_of_other_scripts(text, e164):
    """An input method that is still on types full-width, Arabic or Devanagari digits; what is sent is ASCII."""
    assert phone.read(text).e164 == e164


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("011 44 20 7946 0958", "US"),
        ("0044 20 7946 0958", "FR"),
        ("00 44 20 7946 0958", "DE"),
        ("00442079460958", "GB"),
    ],
)
def test_reads_the_prefix_that_dials_abroad_from_a_region(text, region):
    assert phone.read(text, region=region).e164 == "+442079460958"


def test_a_plus_beats_the_region():
    assert phone.read("+44 20 7946 0958", region="US").e164 == "+442079460958"


@pytest.mark.parametrize(
    ("text", "region", "e164"),
    [
        ("tel:+1-814-404-3093", None, "+18144043093"),
        ("TEL:+18144043093", None, "+18144043093"),
        ("tel:404-3093;phone-context=+1-814", None, "+18144043093"),
        ("tel:814-404-3093;phone-context=example.com", "US", "+18144043093"),
        ("tel:+1-814-404-3093;phone-context=+44", None, "+18144043093"),
    ],
)
def test_reads_a_tel_uri(text, region, e164):
    """RFC 3966: a global number as it is, a local one behind its context."""
    assert phone.read(text, region=region).e164 == e164


def test_a_number_carries_what_is_known_of_it():
    """The typed text, the two usual spellings, the country, the class and the clock."""
    number = phone.read("(814) 404 3093", region="US")
    assert (number.typed, number.international, number.national) == (
        "(814) 404 3093",
        "+1 814-404-3093",
        "(814) 404-3093",
    )
    assert (number.country, number.kind, number.verified) == ("US", NumberClass.FIXED_OR_MOBILE, True)
    assert number.zones == ("America/New_York",)


@pytest.mark.parametrize(("text", "country"), [("+80012345678", None), ("+881612345678", None), ("+14168675309", "CA")])
def test_the_country_is_the_number_s_own(text, country):
    """A plus one number need not be American, and some numbers are of no country at all."""
    assert phone.read(text).country == country


@pytest.mark.parametrize(
    ("text", "region", "code"),
    [
        ("+1 814 404 3093 x5", None, "extension"),
        ("+1 814 404 3093 ext. 5", None, "extension"),
        ("+18144043093,,5", None, "extension"),
        ("+18144043093;5", None, "extension"),
        ("+18144043093#5", None, "extension"),
        ("(814) 404-3093 x5", "US", "extension"),
        ("tel:+1-814-404-3093;ext=5", None, "extension"),
        ("TEL:+1-814-404-3093;EXT=5", None, "extension"),
        ("1-800-FLOWERS", "US", "vanity_number"),
        ("+1 800 FLOWERS", None, "vanity_number"),
        ("tel:1-800-FLOWERS", "US", "vanity_number"),
        ("411", "US", "short_code"),
        ("988", None, "short_code"),
        ("12345", None, "short_code"),
        ("12345", "US", "short_code"),
        ("123456", "US", "short_code"),
        ("+1814404309", None, "impossible_number"),
        ("+181440430931", None, "impossible_number"),
        ("+52 1 55 1234 5678", None, "impossible_number"),
        ("404-3093", "US", "impossible_number"),
        ("404-3093", None, "no_region"),
        ("8144043093", None, "no_region"),
        ("0044 20 7946 0958", None, "no_region"),
        ("+999123456789", None, "unknown_country_code"),
        ("+0123456789", None, "unknown_country_code"),
        ("00 999 123456", "DE", "unknown_country_code"),
        ("", None, "invalid_number"),
        ("  ", "US", "invalid_number"),
        ("+", None, "invalid_number"),
        ("++18144043093", None, "invalid_number"),
        ("+18144043093 +18144043094", None, "invalid_number"),
        ("*67 8144043093", "US", "invalid_number"),
        ("#31#8144043093", "US", "invalid_number"),
        ("somebody", None, "invalid_number"),
        ("\x00", None, "invalid_number"),
        ("+" + "1" * 300, None, "invalid_number"),
    ],
)
def test_refuses_what_is_not_a_whole_number(text, region, code):
    """Each with its own word for scripts, and the exit code of a usage error."""
    error = refusal(text, region)
    assert (type(error), error.exit_code, error.code) == (InvalidNumber, ExitCode.USAGE, code)


@pytest.mark.parametrize(
    ("text", "region", "understood"),
    [
        ("+1 814 404 3093 x5", None, "+18144043093, extension 5"),
        ("tel:+18144043093;ext=12", None, "+18144043093, extension 12"),
        ("1-800-FLOWERS", "US", "1-800-3569377"),
        ("404-3093", "US", "it lacks the area code"),
        ("+1814404309", None, "it is too short"),
        ("+181440430931", None, "it is too long"),
        ("8144043093", None, "no country code"),
    ],
)
def test_a_refusal_says_what_was_understood(text, region, understood):
    message = refusal(text, region).message
    assert message.startswith(repr(text))
    assert understood in message


def test_a_very_long_text_is_not_repeated_in_full():
    """A file pasted by mistake does not fill the screen, neither in the message nor in the hint."""
    error = refusal("1" * 5000)
    assert len(f"{error.message}{error.hint}") < 400


@pytest.mark.parametrize("allow", [(), tuple(GUARDED)], ids=["no-switch", "every-switch"])
@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("911", None),
        ("911", "US"),
        ("911", "DE"),
        ("9-1-1", "US"),
        (" 9 1 1 ", None),
        ("٩١١", None),
        ("９１１", None),  # noqa: RUF001
        ("112", None),
        ("112", "DE"),
        ("999", None),
        ("999", "GB"),
        ("110", "DE"),
        ("000", "AU"),
        ("+911", None),
        ("+112", None),
        ("+1911", None),
        ("+1 911", "DE"),
        ("+44 999", None),
        ("+44 999", "US"),
        ("+49 112", None),
        ("+33 112", None),
        ("tel:911", None),
        ("tel:112;phone-context=+49", None),
        ("tel:911;phone-context=+1", None),
    ],
)
def test_refuses_an_emergency_number_whatever_is_allowed(text, region, allow):
    error = refusal(text, region, allow=allow)
    assert (type(error), error.exit_code, error.code) == (Refused, ExitCode.REFUSED, "emergency")


@pytest.mark.parametrize(
    ("text", "region"),
    [
        ("+49 (0)112", None),
        ("+49 0112", None),
        ("+49 (0) 110", None),
        ("0049 112", "FR"),
        ("0049 0112", "FR"),
        ("011 49 0112", "US"),
        ("+44 (0)999", None),
        ("00 44 999", "FR"),
        ("011 44 112", "US"),
    ],
)
def test_no_spelling_of_a_country_code_leads_to_an_emergency_number(text, region):
    """Neither the trunk zero nor the prefix that dials abroad makes 112 a number that a switch could allow."""
    refusal(text, region, allow=tuple(GUARDED))


def test_refuses_an_emergency_number_behind_a_contact():
    assert refusal("police", contacts={"police": "911"}).code == "emergency"


@pytest.mark.parametrize("text", ["+19115550100", "+4991112345678", "+441126000000", "+18149110112"])
def test_a_full_number_with_the_digits_of_an_emergency_number_is_none(text):
    assert phone.read(text).e164 == text


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("+1 900 234 5678", NumberClass.PREMIUM),
        ("+44 871 123 4567", NumberClass.PREMIUM),
        ("+979 1 2345 6789", NumberClass.PREMIUM),
        ("+49 180 1234567", NumberClass.SHARED_COST),
        ("+808 1234 5678", NumberClass.SHARED_COST),
        ("+1 500 234 5678", NumberClass.PERSONAL),
        ("+44 70 1234 5678", NumberClass.PERSONAL),
        ("+878 10 1234567890", NumberClass.PERSONAL),
        ("+881 6 1234 5678", NumberClass.SATELLITE),
        ("+870 773 111 632", NumberClass.SATELLITE),
        ("+882 13 300655", NumberClass.SATELLITE),
        ("+882 16 12345", NumberClass.SATELLITE),
        ("+883 5100 12345678", NumberClass.SATELLITE),
        ("+1 555 555 5555", NumberClass.UNVERIFIED),
    ],
)
def test_an_expensive_or_doubtful_number_needs_its_own_switch(text, kind):
    """Its own and no other; the hint names it."""
    others = set(GUARDED) - {kind}
    error = refusal(text, allow=others)
    assert (error.exit_code, error.code) == (ExitCode.REFUSED, f"class_{kind}".replace("-", "_"))
    assert f"--allow {kind}" in error.hint
    number = phone.read(text)
    guard.refuse_class(number, {kind})
    assert number.kind == kind


def test_an_unverified_number_of_no_country_needs_both_switches():
    """A satellite number that the plan does not know is satellite and unverified."""
    number = phone.read("+882991234567")
    assert (number.kind, number.verified) == (NumberClass.SATELLITE, False)
    with pytest.raises(Refused) as raised:
        guard.refuse_class(number, {NumberClass.SATELLITE})
    assert raised.value.code == "class_unverified"
    guard.refuse_class(number, {NumberClass.SATELLITE, NumberClass.UNVERIFIED})


@pytest.mark.parametrize("text", ["+18144043093", "+442079460958", "+80012345678", "+18005550100"])
def test_an_ordinary_number_needs_no_switch(text):
    assert guard.refuse_class(phone.read(text), ()) is None


@pytest.mark.parametrize("text", ["+491234", "+4912345678901234", "+49123456789012345", "+4930" + "1" * 13])
def test_refuses_a_number_that_e164_has_no_room_for(text):
    """The service is sent seven to fifteen digits, also where the numbering plan is generous."""
    assert refusal(text, allow=tuple(GUARDED)).exit_code == ExitCode.USAGE


@pytest.mark.parametrize("region", ["XX", "USA", "", "Germany", "001"])
def test_an_unknown_region_is_named(region):
    with pytest.raises(UsageError) as raised:
        phone.read("8144043093", region=region)
    assert raised.value.code == "invalid_region"
    assert repr(region) in raised.value.message


def test_a_contact_is_read_like_its_number():
    """What was typed stays visible; the number may be in the region's national format."""
    number = phone.read("oncall", region="US", contacts={"oncall": "(814) 404-3093"})
    assert (number.typed, number.e164) == ("oncall", "+18144043093")


def test_an_unknown_name_lists_the_contacts():
    message = refusal("nobody", contacts={"oncall": "+18144043093", "boss": "+18144043094"}).message
    assert "boss, oncall" in message


def test_a_contact_is_never_a_contact_s_name():
    """No chains, and so no loops."""
    assert isinstance(refusal("a", contacts={"a": "b", "b": "a"}), InvalidNumber)


@settings(database=None, deadline=None)
@given(st.one_of(st.text(CHARACTERS, max_size=40), LOOKALIKES), st.one_of(st.none(), st.sampled_from(REGIONS)))
def test_any_text_is_a_number_or_a_refusal(text, region):
    """Never another exception, never a number that is not E.164."""
    try:
        number = phone.read(text, region=region)
    except EvocallError:
        return
    assert E164.fullmatch(number.e164)


@settings(database=None, deadline=None)
@example("+270000000")
@given(st.from_regex(r"\+[1-9][0-9]{5,15}", fullmatch=True))
def test_the_e164_of_a_number_is_read_as_itself(text):
    """What a receipt or a file shows can be dialled again and rings the same phone."""
    with contextlib.suppress(EvocallError):
        number = phone.read(text)
        assert phone.read(number.e164).e164 == number.e164


@pytest.mark.parametrize("region", REGIONS)
def test_reads_back_a_valid_number_as_libphonenumber_writes_it(region):
    """In every country and class of number, in the spellings for abroad and in the one at home."""
    for kind in phonenumbers.PhoneNumberType.values():
        example_number = phonenumbers.example_number_for_type(region, kind)
        e164 = example_number and phonenumbers.format_number(example_number, PhoneNumberFormat.E164)
        # +1 310-1234 is valid in the plan, but can only be dialled inside Canada
        if not e164 or not E164.fullmatch(e164) or e164 == "+13101234":
            continue
        for style in (PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.RFC3966):
            assert phone.read(phonenumbers.format_number(example_number, style)).e164 == e164
        national = phonenumbers.format_number(example_number, PhoneNumberFormat.NATIONAL)
        assert phone.read(national, region=region).e164 == e164
