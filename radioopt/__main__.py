"""``python -m radioopt``: the same as the command ``radioopt``."""

from radioopt.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
