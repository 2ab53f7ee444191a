"""`evocall sandbox`."""

from typing import TYPE_CHECKING, Annotated

import typer

from evocall.errors import UsageError

if TYPE_CHECKING:
    from evocall.sandbox import Sandbox
    from evocall.sandbox.faults import Fault


def sandbox(
    port: Annotated[int, typer.Option("--port", metavar="PORT", min=0, max=65535, help="Port; 0 takes a free one")] = 0,
) -> None:
    """Run a local server that answers like the service and rings nobody, until Ctrl-C.

    Paste the export lines that it prints into another shell; every command then talks to it.

    Examples:

      evocall sandbox

      evocall sandbox --port 8145
    """
    import gc
    from contextlib import suppress

    from evocall.output import Screen
    from evocall.sandbox import Sandbox

    gc.enable()
    try:
        server = Sandbox(port=port)
    except OSError as error:
        raise UsageError(f"Port {port} cannot be used: {error.strerror}.", hint="--port 0 takes a free one.") from None
    with suppress(KeyboardInterrupt):
        Screen().text(_welcome(server))
        server.run()


def _welcome(server: "Sandbox") -> str:
    from evocall.sandbox.faults import FAULTS

    accounts = "\n".join(f"  {a.username}  {a.password}  {', '.join(a.roles)}" for a in server.accounts)
    flows = "\n".join(f"  {flow.id}  {flow.name}" for flow in server.flows)
    numbers = "\n".join(f"  {number}" for number in server.numbers)
    faults = "\n".join(f"  0{digits}  {_fate(fault)}" for digits, fault in FAULTS.items())
    return (
        f"Sandbox at {server.base_url}; it rings nobody. Ctrl-C ends it.\n\n"
        f"Accounts\n{accounts}\n\nFlows\n{flows}\n\nOwned numbers, usable as caller ID\n{numbers}\n\n"
        f"Numbers +1 814 555 01xx choose what happens; all others ring and are answered\n{faults}\n\n"
        "Paste this into another shell:\n"
        f"export EVOCALL_BASE_URL={server.base_url}\n"
        f"export EVOCALL_USERNAME={server.manager.username}\n"
        f"export EVOCALL_PASSWORD={server.manager.password}\n"
        f"export EVOCALL_FLOW={server.flows[0].name}\n"
    )


def _fate(fault: "Fault") -> str:
    """What becomes of a dial, in a few words: of the call, then of the answer."""
    from evocall.sandbox.answers import Delivery

    call = f"placed, ends as {fault.ending}" if fault.places else "no call"
    if fault.passes:
        call += " the first time"
    answers = {
        Delivery.WHOLE: f"answer {fault.refusal.status}" if fault.refusal else "",
        Delivery.HALF: "half an answer",
        Delivery.LATE: "a late answer",
        Delivery.RESET: "connection reset",
    }
    answer = "answer without a body" if fault.silent else answers[fault.delivery]
    return f"{call}; {answer}" if answer else call
