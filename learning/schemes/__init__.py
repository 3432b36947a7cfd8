"""What devices and server do in a round, one small object per scheme; ``learning.SCHEMES`` lists their names."""
