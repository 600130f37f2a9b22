"""Matrix products with fixed weights, of 16, 32 or 8 bits."""
