"""The warning of Python's `warnings` where an answer is a bare number and cannot carry one of its own."""


class IsolossWarning(UserWarning):
    """What a reader of a number must know: `code` for programs, as in the warnings of a fit, `message` for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"
