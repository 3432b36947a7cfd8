"""D2D without labels by trying every graph; named and random instances."""

from validation.d2d.clusters import enumeration  # registers the reference

__all__ = ["enumeration"]
