"""``python -m tirastore.cli``: the command line."""

from tirastore.cli import main

main()
