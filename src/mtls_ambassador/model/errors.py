"""The errors a user may meet. Each text names the thing at fault and what would be right."""


class AmbassadorError(Exception):
    """Something failed for a reason a user can act on; the command line prints it and exits 1."""


class UsageError(AmbassadorError):
    """The command was called wrongly; the command line prints it and exits 2."""


class FaultsError(AmbassadorError):
    """Several faults found in one go, so that they can be mended in one go."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults
