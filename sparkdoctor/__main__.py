"""`python -m sparkdoctor`."""

from sparkdoctor.start import main

main()
