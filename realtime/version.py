"""Which Visavis this is."""

from importlib import metadata


def version() -> str:
    """That of the installed package; "0" where it runs without being installed."""
    try:
        return metadata.version("visavis")
    except metadata.PackageNotFoundError:
        return "0"
