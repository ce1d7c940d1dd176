"""The error tree. Whose fault it is decides what happens: peer, outage, operator or us."""


class GatewayError(Exception):
    """Base of every error that this package raises on purpose."""


class DecodeError(GatewayError):
    """Octets from a peer, a file or a radio are not a value. Count, drop, go on."""


class AuthenticationError(GatewayError):
    """A frame did not open or a signature did not verify. Count, drop, go on."""


class FieldError(GatewayError, ValueError):
    """A value cannot exist: says which field, what is wrong and what to do.

    `code` is a stable word for programs, such as `unknown_kind` or `text_too_long`.
    """

    def __init__(self, field: str, problem: str, remedy: str, *, code: str = "invalid") -> None:
        super().__init__(f"{field}: {problem}; {remedy}")
        self.field = field
        self.problem = problem
        self.remedy = remedy
        self.code = code


class ConfigError(GatewayError):
    """The operator's files are wrong. All problems in one message; exit code 78 (EX_CONFIG)."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class IndicatorsFailedError(GatewayError):
    """The header's chip or a pin of it cannot be used now. The gateway goes on and tries again."""


class LinkLostError(GatewayError):
    """The device of a link is gone or deaf. The supervisor starts a fresh driver."""


class DeviceSilentError(LinkLostError):
    """The device is there but does not answer: opening it again may not be enough."""


class LinkClosedError(LinkLostError):
    """The far end of the connection to `port` closed it: it ended, or took another client."""

    def __init__(self, port: str) -> None:
        super().__init__(
            f"{port} closed the connection; if it does so again, another program uses it"
        )
        self.port = port


class PortInUseError(LinkLostError):
    """Another program has the tty `port` open."""

    def __init__(self, port: str) -> None:
        super().__init__(
            f"{port} is in use by another program; end it (sudo hotline doctor names it)"
        )
        self.port = port


class QueueUnavailableError(GatewayError):
    """The broker is away. Nothing is lost; the adapter backs off and comes back."""

    def __init__(self, text: str, *, problem: str = "") -> None:
        super().__init__(text)
        self.problem = problem or text
        """What is wrong, without which server of a cluster says so."""


class StoreRefusedError(GatewayError):
    """The store cannot write now (disk full, read-only). The engine goes on in STORE REFUSED."""


class StoreFailedError(GatewayError):
    """A commit failed otherwise (I/O, fsync, corruption). The daemon ends and is started again."""


class InvalidTransitionError(GatewayError):
    """A machine was given an input that its table does not name: a bug of ours."""
