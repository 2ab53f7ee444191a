"""Which of a million rows were met before, in eight bytes a row."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable
from itertools import groupby, pairwise

HASH_BITS = (1 << 64) - 1


class Identities:
    """A set of rows by a hash of 64 bits each: eight bytes a row instead of a hundred.

    In parts by the first byte of the hash, since sorting takes five times the room of what is sorted.
    """

    def __init__(self, hashes: Iterable[int] = ()) -> None:
        self._parts = [array("Q") for _ in range(256)]
        self._count = 0
        for value in hashes:
            self.add(value)
        self.sort()

    def add(self, value: int) -> None:
        """One more row; `sort` comes after the last one."""
        self._parts[value >> 56].append(value)
        self._count += 1

    def sort(self) -> None:
        """Get ready for questions."""
        for part in self._parts:
            part[:] = array("Q", sorted(part))

    def __contains__(self, value: int) -> bool:
        part = self._parts[value >> 56]
        at = bisect_left(part, value)
        return at < len(part) and part[at] == value

    def __len__(self) -> int:
        return self._count

    def repeated(self) -> frozenset[int]:
        """Those that were given more than once."""
        return frozenset(value for part in self._parts for value, after in pairwise(part) if value == after)

    def different(self) -> int:
        """How many there are, each counted once."""
        return sum(sum(1 for _ in groupby(part)) for part in self._parts)


def digest(identity: str) -> int:
    """The hash of a row's identity; good for this process only."""
    return hash(identity) & HASH_BITS
