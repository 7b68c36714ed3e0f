"""The one exception that is the user's business."""


class BadInput(Exception):
    """An argument or a file that cannot be used; one clear line for the user, exit code 2."""
