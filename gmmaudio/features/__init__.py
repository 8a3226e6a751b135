"""From samples to frames: every stage streams, and the batch call is the stream fed at once."""
