"""Text as people type it -> a number in E.164, its class and its time zones.

Numbering plans come from libphonenumber. Whatever would need a guess is refused with what was understood.
"""

import re
from collections.abc import Mapping
from functools import cached_property

import phonenumbers
from phonenumbers import PhoneNumberType as Kind
from phonenumbers import ValidationResult, shortnumberinfo
from phonenumbers import timezone as plan_zones

from evocall.errors import InvalidNumber, Refused, UsageError
from evocall.model import Number, NumberClass

# ITU-T E.164 country codes that belong to no country; libphonenumber calls most of the satellite ones "mobile".
NON_GEOGRAPHIC = {
    800: NumberClass.TOLL_FREE,
    808: NumberClass.SHARED_COST,
    870: NumberClass.SATELLITE,
    878: NumberClass.PERSONAL,
    881: NumberClass.SATELLITE,
    882: NumberClass.SATELLITE,
    883: NumberClass.SATELLITE,
    979: NumberClass.PREMIUM,
}
CLASSES = {
    Kind.FIXED_LINE: NumberClass.FIXED,
    Kind.MOBILE: NumberClass.MOBILE,
    Kind.FIXED_LINE_OR_MOBILE: NumberClass.FIXED_OR_MOBILE,
    Kind.TOLL_FREE: NumberClass.TOLL_FREE,
    Kind.PREMIUM_RATE: NumberClass.PREMIUM,
    Kind.SHARED_COST: NumberClass.SHARED_COST,
    Kind.VOIP: NumberClass.VOIP,
    Kind.PERSONAL_NUMBER: NumberClass.PERSONAL,
    Kind.PAGER: NumberClass.PAGER,
    Kind.UAN: NumberClass.COMPANY,
    Kind.VOICEMAIL: NumberClass.VOICEMAIL,
}
LENGTHS = {
    ValidationResult.TOO_SHORT: "it is too short",
    ValidationResult.TOO_LONG: "it is too long",
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: "it lacks the area code",
    ValidationResult.INVALID_LENGTH: "no number there has this many digits",
}
LONGEST_SHORT_CODE = 6
E164_DIGITS = range(7, 16)  # ITU-T E.164 sets the upper bound; nobody has a shorter number than Tokelau
LONGEST_SHOWN = 40
_SEPARATORS = r"\s()\[\].\-/‐-―−ー－．／（）［］~⁓∼～\u00ad\u200b\u2060"  # noqa: RUF001
_DIALLABLE = re.compile(rf"[+＋]?[{_SEPARATORS}]*\d[\d{_SEPARATORS}]*")  # noqa: RUF001
_COUNTRY_IN_PARENTHESES = re.compile(r"\((\+\d{1,3})\)")
_LETTERS = re.compile(r"[^\W\d_]")


def read(text: str, *, region: str | None = None, contacts: Mapping[str, str] | None = None) -> Number:
    """The number that `text` means: E.164, a `tel:` URI (RFC 3966), national format of `region`, or a contact's name.

    Raises InvalidNumber with the reason, Refused for an emergency number, UsageError for an unknown region.
    """
    contacts = contacts or {}
    if text in contacts:
        return _read(text, contacts[text].strip(), region, {})
    return _read(text, text.strip(), region, contacts)


def check_region(region: str | None) -> None:
    """Raise UsageError for a region that numbers cannot be read in."""
    if region is not None and region.upper() not in phonenumbers.SUPPORTED_REGIONS:
        raise UsageError(
            f"{region!r} is not a region.",
            hint="Use a two-letter ISO 3166 code, such as US, GB or DE, in --region, EVOCALL_REGION or the profile.",
            code="invalid_region",
        )


def _read(typed: str, text: str, region: str | None, contacts: Mapping[str, str]) -> Number:
    check_region(region)
    digits = _without_uri(text)
    digits = _COUNTRY_IN_PARENTHESES.sub(r"\1", digits, count=1)
    if not _DIALLABLE.fullmatch(digits):
        raise _not_diallable(text, digits, region, contacts)
    parsed = _parsed(text, digits, region)
    if parsed.extension:
        raise _extension(text, _e164(parsed), parsed.extension)
    plan_class = phonenumbers.number_type(parsed)
    verified = plan_class != Kind.UNKNOWN
    if not verified or len(_e164(parsed)) - 1 not in E164_DIGITS:
        _refuse_impossible(text, digits, parsed)
    return _Read(typed, parsed, verified=verified, kind=_class_of(parsed.country_code, plan_class))


def _without_uri(text: str) -> str:
    """The dialling digits of a `tel:` URI; anything else as it is."""
    if text[:4].lower() != "tel:":
        return text
    number, *parameters = text[4:].split(";")
    named = {name.lower(): value for name, _, value in (p.partition("=") for p in parameters)}
    if "ext" in named:
        raise _extension(text, number, named["ext"])
    for name in named:
        if name != "phone-context":
            raise InvalidNumber(f"{_shown(text)} has ;{name}=, which cannot be dialled.", hint="Leave that part out.")
    context = named.get("phone-context", "")
    return context + number if context.startswith("+") and not number.startswith("+") else number


def _not_diallable(text: str, digits: str, region: str | None, contacts: Mapping[str, str]) -> InvalidNumber:
    """The error for text with more than digits in it: an extension, a vanity number, or nobody we know."""
    if _LETTERS.search(digits) and not any(c.isdigit() for c in digits):
        known = ", ".join(sorted(contacts)) or "none"
        return InvalidNumber(
            f"{_shown(text)} is neither a number nor a contact of this profile (contacts: {known}).",
            hint="evocall profile set contacts.NAME +NUMBER adds a contact.",
        )
    try:
        parsed = phonenumbers.parse(digits, region and region.upper())
    except phonenumbers.NumberParseException:
        parsed = None
    if parsed and parsed.extension:
        return _extension(text, _e164(parsed), parsed.extension)
    if _LETTERS.search(digits):
        spelled = phonenumbers.convert_alpha_characters_in_number(digits)
        return InvalidNumber(
            f"{_shown(text)} has letters in it; as digits of a keypad it would be {_shown(spelled)}.",
            hint="If that is the number you mean, dial the digits.",
            code="vanity_number",
        )
    return InvalidNumber(f"{_shown(text)} is not a phone number.", hint="Write it as +, country code and number.")


def _extension(text: str, number: str, extension: str) -> InvalidNumber:
    return InvalidNumber(
        f"{_shown(text)} has an extension: understood as {number}, extension {extension}.",
        hint="Extensions cannot be dialled: call the number without it, and let the flow press the extension.",
        code="extension",
    )


def _refuse_emergency(text: str, digits: str, parsed: phonenumbers.PhoneNumber | None) -> None:
    """Emergency numbers have no switch, also behind a country code or a trunk 0, and whatever the region."""
    bare = phonenumbers.normalize_digits_only(digits)
    if _is_emergency(bare) or (parsed is not None and _is_emergency(str(parsed.national_number))):
        raise Refused(
            f"{_shown(text)} is an emergency number. evocall never dials one.",
            hint="In an emergency, use a phone.",
            code="emergency",
        )


def _is_emergency(short: str) -> bool:
    return len(short) <= LONGEST_SHORT_CODE and any(
        shortnumberinfo.is_emergency_number(short, region) for region in phonenumbers.SUPPORTED_SHORT_REGIONS
    )


def _parsed(text: str, digits: str, region: str | None) -> phonenumbers.PhoneNumber:
    if region is None and not _is_international(digits):
        _refuse_emergency(text, digits, None)
        raise _unreadable_without_region(text, phonenumbers.normalize_digits_only(digits))
    try:
        return phonenumbers.parse(digits, region and region.upper())
    except phonenumbers.NumberParseException as error:
        _refuse_emergency(text, digits, None)
        if error.error_type == phonenumbers.NumberParseException.INVALID_COUNTRY_CODE:
            raise InvalidNumber(
                f"{_shown(text)} begins with a country code that nobody has.",
                hint="Write it as +, country code and number.",
                code="unknown_country_code",
            ) from None
        raise InvalidNumber(f"{_shown(text)} is not a phone number: it has too few or too many digits.") from None


def _is_international(digits: str) -> bool:
    return digits.lstrip().startswith(("+", "＋"))  # noqa: RUF001


def _refuse_impossible(text: str, digits: str, parsed: phonenumbers.PhoneNumber) -> None:
    """Refuse what the numbering plan does not know, unless the length is right and nothing can be misread."""
    _refuse_emergency(text, digits, parsed)
    verdict = _length_of(parsed)
    if verdict == ValidationResult.IS_POSSIBLE:
        _refuse_unstable(text, parsed)
        return
    if len(phonenumbers.normalize_digits_only(digits)) <= LONGEST_SHORT_CODE and not _is_international(digits):
        raise _short_code(text)
    raise InvalidNumber(
        f"{_shown(text)} is not a phone number: understood as {_e164(parsed)}, and {LENGTHS[verdict]}.",
        hint="Check the digits; a full number has country code, area code and subscriber number.",
        code="impossible_number",
    )


def _length_of(parsed: phonenumbers.PhoneNumber) -> int:
    """Whether the numbering plan and E.164 have numbers of this length."""
    digits = len(_e164(parsed)) - 1
    if digits not in E164_DIGITS:
        return ValidationResult.TOO_SHORT if digits < E164_DIGITS.start else ValidationResult.TOO_LONG
    return phonenumbers.is_possible_number_with_reason(parsed)


def _refuse_unstable(text: str, parsed: phonenumbers.PhoneNumber) -> None:
    """Refuse a number whose E.164 form reads as yet another one, as some with a 0 too many do."""
    again = _e164(phonenumbers.parse(_e164(parsed), None))
    if again == _e164(parsed):
        return
    raise InvalidNumber(
        f"{_shown(text)} is ambiguous: understood as {_e164(parsed)}, which reads as {again}.",
        hint="Write it as +, country code and number, without the 0 that is dialled only inside the country.",
        code="impossible_number",
    )


def _unreadable_without_region(text: str, bare: str) -> InvalidNumber:
    if len(bare) <= LONGEST_SHORT_CODE:
        return _short_code(text)
    likely = bare.removeprefix("00")[: E164_DIGITS.stop]
    guess = f"Write +{likely} if that begins with the country code, or say" if _is_valid(f"+{likely}") else "Say"
    return InvalidNumber(
        f"{_shown(text)} has no country code, and no region says how to read it.",
        hint=f"{guess} --region US (or GB, DE …).",
        code="no_region",
    )


def _is_valid(e164: str) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(e164, None))
    except phonenumbers.NumberParseException:
        return False


def _short_code(text: str) -> InvalidNumber:
    return InvalidNumber(
        f"{_shown(text)} is too short for a phone number; short codes work only inside one network.",
        hint="Dial a full number: +, country code and number.",
        code="short_code",
    )


def _class_of(country_code: int | None, plan_class: int) -> NumberClass:
    return NON_GEOGRAPHIC.get(country_code or 0) or CLASSES.get(plan_class, NumberClass.UNVERIFIED)


class _Read(Number):
    """A number of which only what every caller needs is worked out at once; the rest costs as much again."""

    def __init__(self, typed: str, parsed: phonenumbers.PhoneNumber, *, verified: bool, kind: NumberClass) -> None:
        region = phonenumbers.region_code_for_number(parsed)
        if region is None and parsed.country_code is not None:
            region = phonenumbers.region_code_for_country_code(parsed.country_code)
        known = {
            "typed": typed,
            "e164": _e164(parsed),
            "country": region if region in phonenumbers.SUPPORTED_REGIONS else None,
            "kind": kind,
            "verified": verified,
            "_parsed": parsed,
        }
        self.__dict__.update(known)

    @cached_property
    def international(self) -> str:
        return phonenumbers.format_number(self.__dict__["_parsed"], phonenumbers.PhoneNumberFormat.INTERNATIONAL)

    @cached_property
    def national(self) -> str:
        return phonenumbers.format_number(self.__dict__["_parsed"], phonenumbers.PhoneNumberFormat.NATIONAL)

    @cached_property
    def zones(self) -> tuple[str, ...]:
        names = plan_zones.time_zones_for_number(self.__dict__["_parsed"])
        return tuple(name for name in names if name != plan_zones.UNKNOWN_TIMEZONE)


def _e164(parsed: phonenumbers.PhoneNumber) -> str:
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def _shown(text: str) -> str:
    return repr(text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…")
