"""Other people's servers that do a like thing."""


def add(bench):
    """Adds their cases."""
