"""Authentication and access: the key of a request, and its rights."""

from __future__ import annotations

import math
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from craft.service.database import Database
from craft.service.keys import Key, recognised, take_call
from craft.service.problem_details import Problem, unauthorised

_bearer = HTTPBearer(auto_error=False, description="craft_...")


def authorised(
    request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Key:
    """Return the key of a request; raises Problem 401 and 429."""
    database: Database = request.app.state.database
    key = recognised(database, given.credentials if given else "")
    if key is None:
        raise unauthorised()
    if (wait := take_call(database, key)) is not None:
        raise Problem(429, "calls per minute: the key's limit is reached", retry=math.ceil(wait))
    return key


Caller = Annotated[Key, Depends(authorised)]


def require(key: Key, access: str) -> None:
    """Raise Problem 403 if a key lacks an access level."""
    if access not in key.access:
        raise Problem(403, f"access: expected {access}, got a key of {', '.join(key.access)}")
