"""Say how names and addresses must be written that more than one section has."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints


def _reachable(url: str) -> str:
    """Return the URL; raise ``ValueError`` for a port that there is not, which a pattern would tell in riddles."""
    port = url.removeprefix("https://").partition(":")[2]
    if port and not 1 <= int(port) <= 65535:
        raise ValueError("an address whose port is 1 to 65535")
    return url


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=2, max_length=40)]
Cidr = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$")]
HttpsUrl = Annotated[
    str,
    StringConstraints(pattern=r"^https://[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$"),
    AfterValidator(_reachable),
]
Port = Annotated[int, Field(ge=1024, le=65535)]
Zone = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9][a-z]$")]
