"""`python -m orchestrator` is `roundhouse`."""

from orchestrator.cli import main

if __name__ == "__main__":
    main()
