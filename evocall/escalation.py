"""Numbers rung in turn until somebody answers, for whoever must be reached tonight.

Each is placed at most once. The next one is rung only when the call before has ended or was ended, and never while it
is not known whether that one rang. A machine is not somebody: after voicemail the next number is rung.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from evocall.errors import (
    EvocallError,
    Forbidden,
    JournalError,
    NotAnswered,
    NotFound,
    RateLimited,
    Refused,
    Rejected,
    StillRunning,
    Unavailable,
)
from evocall.model import Call, Ending, Plan
from evocall.watching import OUT_OF_SIGHT
from evocall.wording import how

NEXT = (Refused, Rejected, Unavailable, RateLimited)  # what keeps one number from being rung, and not the others
ENDS_WITHIN = 30.0  # seconds for a call to be seen ended after it was hung up


@dataclass
class Turns:
    """How numbers are rung: `ring` places a call, `follow` watches one to its end, `hang_up` ends one.

    `follow` takes the call and a timeout in seconds. `tried` fills with the calls that came to nothing.
    """

    ring: Callable[[Plan], Call]
    follow: Callable[[Call, float], Call]
    hang_up: Callable[[str], None]
    tell: Callable[[str], None]
    tried: list[Call] = field(default_factory=list)

    def until_answered(self, plans: Sequence[Plan], timeout: float) -> tuple[Call, Plan]:
        """The call that somebody answered; `timeout` is how long each call is watched.

        Raises NotAnswered when nobody did, and the error of the last number when none could be rung. Whatever else
        comes up ends the turns, since the next number must not be rung.
        """
        last: EvocallError | None = None
        for plan in plans:
            try:
                call = self._to_its_end(self.ring(plan), timeout)
            except (*NEXT, JournalError) as error:
                last = error
                self.tell(f"{plan.number.international}: {error}")
                self.tried += [error.call] if error.call else []
                if isinstance(error, JournalError):
                    break  # nor could the next call be recorded
                continue
            if _by_somebody(call.ending):
                return call, plan
            self.tell(f"{plan.number.international}: {how(call.ending)}")
            self.tried.append(call)
        raise self._nobody(last)

    def _to_its_end(self, call: Call, timeout: float) -> Call:
        try:
            return self.follow(call, timeout)
        except StillRunning as error:
            if error.call is None or error.call.ending is None or error.code == OUT_OF_SIGHT:
                raise
            if error.call.ending.answered:
                return error.call
            return self._hung_up(error.call, error)

    def _hung_up(self, call: Call, error: StillRunning) -> Call:
        """The call, ended by us. Raises StillRunning when that does not work: two phones must not ring at once."""
        self.tell(f"{call.number} still rings; hanging up.")
        try:
            if call.session_id is None:
                raise error
            with suppress(NotFound):  # it may have ended just now
                self.hang_up(call.session_id)
            return self.follow(call, ENDS_WITHIN)
        except EvocallError as trouble:
            stopped = StillRunning(
                f"the call to {call.number} could not be ended, so the next number is not rung: {trouble}",
                hint=trouble.hint if isinstance(trouble, Forbidden) else "Look whether it still rings.",
            )
            stopped.call = call
            raise stopped from trouble

    def _nobody(self, last: EvocallError | None) -> EvocallError:
        rung = [call for call in self.tried if call.ending is not None]
        if last is not None and not rung:
            if last.call is not None:
                self.tried.pop()
            return last
        counted = "1 number was" if len(rung) == 1 else f"{len(rung)} numbers were"
        error = NotAnswered(f"nobody answered; {counted} rung.")
        error.call = rung[-1]
        self.tried.remove(rung[-1])
        return error


def _by_somebody(ending: Ending | None) -> bool:
    return ending is not None and ending.answered is True and not ending.machine
