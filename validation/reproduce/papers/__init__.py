"""What each paper prints, as a list of facts, and the verdict that follows from what was measured."""
