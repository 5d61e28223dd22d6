"""`python -m shiftbench.cli`: the command line, where the script is not on the path."""

from shiftbench.cli import main

main()
