"""A request that cannot be answered."""


class RequestError(Exception):
    """What is wrong with a request, in one line for the one who sent it.

    Attributes:
        status: The HTTP status to answer with.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status
