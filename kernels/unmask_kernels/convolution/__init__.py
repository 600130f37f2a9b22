"""Short causal convolutions over paged states."""
