"""`python -m isoloss.cli`."""

from isoloss.cli import main

main()
