"""A sandbox in a process of its own, so that it takes no time from what is measured; as a script, that process."""

import json
import subprocess
import sys
from types import TracebackType
from typing import Any, Self


class Service:
    """Address, login and flow of a sandbox that runs for as long as the `with` block lasts."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        told = self._told()
        self.base_url: str = told["base_url"]
        self.username: str = told["username"]
        self.password: str = told["password"]
        self.flow_id: str = told["flow_id"]
        self.flow_name: str = told["flow_name"]

    @property
    def address(self) -> str:
        """Where calls are placed."""
        return f"{self.base_url}/sessions/outgoing"

    def body(self, number: str) -> str:
        """The JSON that places a call."""
        return json.dumps({"flowId": self.flow_id, "numberToDial": number})

    def arrivals(self) -> list[float]:
        """When the calls since the last question came in, in seconds of the monotonic clock."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return sorted(self._told())

    def _told(self) -> Any:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.communicate()


def main() -> None:
    """Serve until standard input ends; each line of it asks for the arrivals since the last one."""
    from evocall.sandbox import Sandbox

    with Sandbox() as server:
        flow = server.flows[0]
        told = {
            "base_url": server.base_url,
            "username": server.manager.username,
            "password": server.manager.password,
            "flow_id": flow.id,
            "flow_name": flow.name,
        }
        print(json.dumps(told), flush=True)
        for _ in sys.stdin:
            print(json.dumps([call.at for call in server.dials()]), flush=True)
            server.requests.clear()


if __name__ == "__main__":
    main()
