"""The command `shiftbench`, and `python -m shiftbench`: the command line, or what waits for a process that is it."""

from shiftbench.workflow.engine import client


def main() -> None:
    """Have a stage done where everything is imported already; else be the command line."""
    client.hand_over()
    from shiftbench import cli

    cli.main()


if __name__ == "__main__":
    main()
