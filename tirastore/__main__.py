"""``python -m tirastore``: the command line."""

from tirastore.cli import main

main()
