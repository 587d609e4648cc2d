"""What all clients of a model server go by."""

import re

API_KEY_VARIABLE = "DARKROOM_API_KEY"
"""Environment variable with the key for servers that want one, as `darkroom serve` with
`api_keys`."""


def is_here(address: str) -> bool:
    """Whether an address is of this machine, to which no proxy leads."""
    return re.match(r"(\w+://)?(localhost|127\.[\d.]+|\[::1\])(:|/|$)", address) is not None
