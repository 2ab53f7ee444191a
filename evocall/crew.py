"""Workers that place calls at the same time: as many as the pace needs, begun one by one."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from evocall import placing

BREATH = 0.05  # seconds without work after which a worker does what can wait


class Sender(placing.Sender, Protocol):
    """A service that a worker may close."""

    def close(self) -> None:
        """Close the connections."""
        ...


class Crew:
    """At most so many workers, each with a service of its own; `rest` is what they do when there is nothing to do."""

    def __init__(
        self,
        most: int,
        make_service: Callable[[], Sender],
        work: Callable[[Sender, Any], None],
        rest: Callable[[], None] = lambda: None,
    ) -> None:
        self._make, self._work, self._rest = make_service, work, rest
        self._free = threading.Semaphore(most)
        self._idle = 0
        self._busy = 0
        self._lock = threading.Condition()
        self._threads: list[threading.Thread] = []
        self._items: SimpleQueue[Any] = SimpleQueue()

    def free(self, timeout: float) -> bool:
        """Take a place in the crew; False when none became free in time."""
        return self._free.acquire(timeout=timeout)

    def give_back(self) -> None:
        """The place is not needed after all."""
        self._free.release()

    def hand(self, item: Any) -> None:
        """Let a worker do the item, in the place taken before."""
        with self._lock:
            if self._idle:
                self._idle -= 1
            else:
                thread = threading.Thread(target=self._serve, args=(self._make(),), daemon=True)
                self._threads.append(thread)
                thread.start()
            self._busy += 1
        self._items.put(item)

    def drain(self) -> None:
        """Wait until nobody is busy."""
        with self._lock:
            self._lock.wait_for(lambda: self._busy == 0)

    def close(self) -> None:
        """Send the workers home; those still busy are left to themselves."""
        for _ in self._threads:
            self._items.put(None)

    def _serve(self, service: Sender) -> None:
        while (item := self._next()) is not None:
            try:
                self._work(service, item)
            finally:
                with self._lock:
                    self._busy -= 1
                    self._idle += 1
                    self._lock.notify_all()
                self._free.release()
        service.close()

    def _next(self) -> Any:
        """The next item; whoever has none for a moment does what can wait."""
        try:
            return self._items.get(timeout=BREATH)
        except Empty:
            self._rest()
            return self._items.get()
