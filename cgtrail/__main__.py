"""`python -m cgtrail` is the `cgtrail` command."""

from cgtrail.cli import main

main()
