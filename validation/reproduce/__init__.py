"""Tables of the documentation, each made by one module: ``python -m validation.reproduce.<name>``."""
