"""The clocks of the zones that a number may be in."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from evocall.model import Number

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


def zones_of(number: Number, now: datetime) -> "list[ZoneInfo]":
    """The zones that the number may be in, from west to east, less those that this system has no data for."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    zones = []
    for name in number.zones:
        try:
            zones.append(ZoneInfo(name))
        except ZoneInfoNotFoundError:
            continue
    return sorted(zones, key=lambda zone: now.astimezone(zone).utcoffset() or timedelta())


def local_times(number: Number, now: datetime) -> list[datetime]:
    """What the clock of each of these zones shows, as naive times, from west to east."""
    return [now.astimezone(zone).replace(tzinfo=None) for zone in zones_of(number, now)]
