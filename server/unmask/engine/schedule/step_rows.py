"""Query tokens of a step while it is put together."""


class StepRows:
    """Rows that a step has left, and those that light and heavy sequences took of it."""

    def __init__(self, budget: int) -> None:
        self.budget = budget  # left for any sequence
        self.limit = budget  # left for light sequences, and for those that begin
        self.light = self.heavy = 0  # taken

    def take(self, num_rows: int, *, is_heavy: bool) -> None:
        """Give rows to a sequence."""
        self.budget -= num_rows
        self.limit -= num_rows
        self.light += 0 if is_heavy else num_rows
        self.heavy += num_rows if is_heavy else 0

    def take_light(self, num_rows: int) -> None:
        self.take(num_rows, is_heavy=False)

    def take_heavy(self, num_rows: int) -> None:
        self.take(num_rows, is_heavy=True)
