"""`unmask eval`: how good the answers are, and how many tokens a step fills."""


def evaluate() -> None:
    """Placeholder."""
