"""What the five papers print, beside ours: ``radioopt reproduce PAPER``, and the modules that measure it."""
