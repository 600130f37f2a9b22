"""Routes for keys with the scope `admin`."""

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from unmask.api.key_file import LIMITS
from unmask.api.keys import KeyStore
from unmask.api.middleware import ADMIN_PREFIX


def admin_routes(keys: KeyStore) -> APIRouter:
    """A list of the keys that are in force, without any secret."""
    router = APIRouter()

    @router.get(f"{ADMIN_PREFIX}keys", include_in_schema=False)
    @router.head(f"{ADMIN_PREFIX}keys", include_in_schema=False)
    async def list_keys() -> JSONResponse:
        data = [
            {
                "name": key.name,
                "scopes": sorted(key.scopes),
                **{limit: getattr(key.limits, limit) for limit in LIMITS},
            }
            for key in keys.keys
        ]
        return JSONResponse({"object": "list", "data": data})

    return router
