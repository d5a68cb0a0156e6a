"""`python -m core.cli`: the same as the command `tagalong`."""

from core.cli import main

main()
