"""Headers of a request, without an object for all of them."""

from starlette.types import Scope


def find_header(scope: Scope, name: bytes) -> str | None:
    """The first header of a name, which is in lower case; None if there is none."""
    for key, value in scope["headers"]:
        if key == name:
            text: str = value.decode("latin-1")
            return text
    return None


def header(scope: Scope, name: bytes) -> str:
    """The first header of a name, which is in lower case; "" if there is none."""
    return find_header(scope, name) or ""
