"""``python -m radioopt``: the same as the command ``radioopt``."""

from radioopt.cli import main

raise SystemExit(main())
