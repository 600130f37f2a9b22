"""The playground: one page, no other files."""

from importlib.resources import files

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
)


def page_routes() -> APIRouter:
    """The route of the page."""
    router = APIRouter()
    page = files("unmask.api").joinpath("playground.html").read_text(encoding="utf-8")

    @router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def playground() -> HTMLResponse:
        """A page to type a prompt into and watch blocks sharpen."""
        return HTMLResponse(page, headers={"content-security-policy": PAGE_POLICY})

    return router
