"""`python -m evocall`."""

from evocall.cli import main

if __name__ == "__main__":
    main()
