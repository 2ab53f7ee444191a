"""Who ends an exchange, and when."""

import threading

from evocall.flight import Flight, Watchman


def test_an_exchange_that_has_ended_is_not_cut():
    """Its connection may carry the next request by then, which would be lost."""
    watchman = Watchman()
    events: list[str] = []
    third = threading.Event()

    def happened(what: str) -> None:
        events.append(what)
        if len(events) == 3:
            third.set()

    class Exchange(Flight):
        """One of two whose time is up; while the first is cut, the answer of the other comes."""

        def cut(self) -> None:
            happened("cut")
            if len(events) == 1:
                ending = threading.Thread(target=self.end_the_other)
                ending.start()
                ending.join(0.3)

        def end_the_other(self) -> None:
            watchman.forget(two if self is one else one)
            happened("ended")

    one, two = Exchange(0.0, lambda: True), Exchange(0.0, lambda: True)
    watchman._flights.add(one)
    watchman.watch(two)
    assert third.wait(30)
    assert events == ["cut", "cut", "ended"]
