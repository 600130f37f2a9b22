"""Which masked positions to fill, and with what."""
