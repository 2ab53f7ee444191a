"""A call's life: a pure function of the time since it was placed."""

import bisect
import secrets
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

from evocall.sandbox.inventory import Flow


class Ending(StrEnum):
    """How a call turns out; the value is the `outcome` the service reports."""

    ANSWERED = "Answered"
    VOICEMAIL = "Voicemail"
    BUSY = "Busy"
    NO_ANSWER = "No Answer"
    FAILED = "Failed"
    CANCELED = "Canceled"

    @property
    def picks_up(self) -> bool:
        """Whether somebody, or a machine, takes the call."""
        return self in (Ending.ANSWERED, Ending.VOICEMAIL)


class State(StrEnum):
    """The call states a placed call goes through."""

    RINGING = "Ringing"
    CONNECTED = "Connected"
    DISCONNECTED = "Disconnected"


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happens to a call, and its line in the log."""

    at: float
    state: State
    message: str


@dataclass(slots=True)
class Call:
    """One placed call. Times are seconds of the sandbox's clock."""

    id: str
    sid: str
    number: str
    flow: Flow
    caller_id: str
    placed_by: str
    placed_at: float
    answered_at: float
    ends_at: float
    ending: Ending
    hung_up_at: float | None = None

    @property
    def flow_id(self) -> str:
        """The ID of the flow that runs when the call is answered."""
        return self.flow.id

    def log(self, now: float) -> list[Step]:
        """What has happened so far, oldest first; the last step tells the state."""
        if self.hung_up_at is None or self.hung_up_at > now:
            return [step for step in self._plan() if step.at <= now] or [next(self._plan())]
        steps = [step for step in self._plan() if step.at <= self.hung_up_at]
        return [*steps, Step(self.hung_up_at, State.DISCONNECTED, "Hung up")]

    def ended(self, now: float) -> bool:
        """Whether the call is over."""
        return now >= (self.ends_at if self.hung_up_at is None else self.hung_up_at)

    def outcome(self) -> Ending:
        """How the call turns out, once it has ended."""
        if self.hung_up_at is not None and not self.connected(self.hung_up_at):
            return Ending.CANCELED
        return self.ending

    def connected(self, now: float) -> bool:
        """Whether the call was picked up by then."""
        return self.ending.picks_up and now >= self.answered_at

    def _plan(self) -> Iterator[Step]:
        yield Step(self.placed_at, State.RINGING, f"Dialing {self.number} from {self.caller_id}")
        if self.ending.picks_up:
            who = "a machine" if self.ending is Ending.VOICEMAIL else "a person"
            yield Step(self.answered_at, State.CONNECTED, f"Answered by {who}")
            yield Step(self.answered_at, State.CONNECTED, f"Running flow {self.flow.name}")
        yield Step(self.ends_at, State.DISCONNECTED, f"Call ended: {self.ending}")


class Calls:
    """All calls placed so far, oldest first."""

    def __init__(self, clock: Callable[[], float], *, answer_after: float, talk_for: float) -> None:
        self.clock = clock
        self.placed: list[Call] = []
        self._answer_after = answer_after
        self._talk_for = talk_for
        self._by_id: dict[str, Call] = {}
        self._lock = threading.Lock()

    def place(
        self, number: str, flow: Flow, caller_id: str, *, placed_by: str, ending: Ending, seconds_ago: float = 0.0
    ) -> Call:
        """Let a call ring, as if since `seconds_ago`."""
        with self._lock:
            placed = self.clock() - seconds_ago
            answered = placed + self._answer_after
            call = Call(
                id=f"{int(placed) & 0xFFFFFFFF:08x}{secrets.token_hex(8)}",
                sid=f"CA{secrets.token_hex(16)}",
                number=number,
                flow=flow,
                caller_id=caller_id,
                placed_by=placed_by,
                placed_at=placed,
                answered_at=answered,
                ends_at=answered + self._talk_for if ending.picks_up else answered,
                ending=ending,
            )
            bisect.insort(self.placed, call, key=attrgetter("placed_at"))
            self._by_id[call.id] = call
        return call

    def find(self, call_id: str) -> Call | None:
        """The call with this session ID."""
        return self._by_id.get(call_id)

    def hang_up(self, call: Call) -> None:
        """End a call now; one that has ended stays as it is."""
        with self._lock:
            now = self.clock()
            if not call.ended(now):
                call.hung_up_at = now
