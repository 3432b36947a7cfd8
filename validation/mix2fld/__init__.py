"""Plans of rounds by two roads of their own: chains of slots, and rounds played slot by slot."""

from validation.mix2fld import enumeration, simulation  # registers the references

__all__ = ["enumeration", "simulation"]
