"""The playground: one page, no other files."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from unmask.api.playground import playground_page

PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'"
)


def page_routes() -> APIRouter:
    """The route of the page."""
    router = APIRouter()
    page = playground_page()

    @router.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def playground() -> HTMLResponse:
        """A page to type a prompt into and watch blocks sharpen."""
        return HTMLResponse(page, headers={"content-security-policy": PAGE_POLICY})

    return router
