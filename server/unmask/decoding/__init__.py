"""Rules of decoding that depend on the tokens of a block alone; without torch."""
