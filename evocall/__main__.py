"""`python -m evocall`, and what the `evocall` command runs."""

import gc


def main() -> None:
    """Run the command line."""
    # Collecting garbage while modules load costs a tenth of the start-up; commands that run long turn it on again.
    gc.disable()
    from evocall import cli

    cli.main()


if __name__ == "__main__":
    main()
