"""A load generator for any server that speaks OpenAI's HTTP API; it needs no torch."""
