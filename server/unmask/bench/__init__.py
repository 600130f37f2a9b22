"""Load generator for servers with OpenAI's HTTP API; imports no torch."""
