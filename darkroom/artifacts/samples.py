"""Where a model server keeps a share of its answers: files of JSON Lines, in a folder a model."""

FILE = "samples.jsonl"
"""The newest file; older ones are `samples.jsonl.1` and so on."""


def samples_folder(folder: str, model: str) -> str:
    """The folder of a model's samples.

    Args:
        folder: Path or URI of the server's `sample.folder`.
        model: The model's name at the server.
    """
    return f"{folder.rstrip('/')}/{model}"
