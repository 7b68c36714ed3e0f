"""`python -m sparkdoctor`."""

from sparkdoctor.cli import main

main()
