"""D2D with a list of links: the instances and the oracle of the problem with matrices."""

from validation.d2d.sparse import enumeration  # registers the reference

__all__ = ["enumeration"]
