"""What the configuration file may say, as strict types. Reading and checking: `load`.

Each description is shown to the operator when the value is missing or does not fit: it says
what to write. Paths are absolute, since a daemon has no folder of its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from gateway.config.header import Pin
from gateway.config.radio_words import PresetWord, RegionWord
from gateway.core.events import Rights
from gateway.model import Operation, Precedence, Role

OperationWord = Literal["operation", "exercise", "simulation", "test"]
PrecedenceWord = Literal["flash", "immediate", "priority", "routine"]
RoleWord = Literal[
    "automatic", "duty_officer", "watch_commander", "liaison_officer", "commander", "technician"
]

LINK_COUNT_MAX = 8
LINE_COUNT_MAX = 16
API_USER_COUNT_MAX = 64
NATS_SERVER_COUNT_MAX = 16

AbsolutePath = Annotated[Path, Meta(description="write the whole path, from /")]
OperationWords = Annotated[
    tuple[OperationWord, ...],
    Meta(description='list any of "operation", "exercise", "simulation", "test"'),
]
PrecedenceLimit = Annotated[
    PrecedenceWord,
    Meta(description='write the fastest one allowed: "flash", "immediate", "priority", "routine"'),
]
RoleName = Annotated[
    RoleWord,
    Meta(
        description='write "automatic", "duty_officer", "watch_commander", "liaison_officer",'
        ' "commander" or "technician"'
    ),
]
Answering = Annotated[bool, Meta(description="write true or false")]
LinkLabel = Annotated[
    str,
    Meta(
        pattern=r"^[a-z][a-z0-9-]{0,15}\Z",
        description='write a short name such as "radio": 1 to 16 of a-z, 0-9 and -, a letter first',
    ),
]


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file: unknown keys are errors, values never change."""


class StationSettings(Table, frozen=True, kw_only=True):
    name: Annotated[
        str,
        Meta(
            pattern=r"^[A-Z0-9-]{1,12}\Z",
            description="write the name on the station's card: 1 to 12 of A-Z, 0-9 and -",
        ),
    ]
    state_folder: AbsolutePath = Path("/var/lib/hotline-gateway")
    """Everything that must outlive a restart."""
    runtime_folder: AbsolutePath = Path("/run/hotline-gateway")
    """`api.sock` and `pins.sock`; may be gone after a restart."""
    key_file: AbsolutePath = Path("/etc/hotline-gateway/station.key")
    clock_is_manual: Annotated[bool, Meta(description="write true or false")] = False
    """The operator sets the clock and vouches for it: DTGs say MANUAL where NTP is silent."""


class MeshtasticLinkSettings(
    Table, frozen=True, kw_only=True, tag_field="driver", tag="meshtastic"
):
    name: LinkLabel
    port: Annotated[
        str,
        Meta(
            pattern=r"^(/.+|tcp://.+)\Z",
            description='write "/dev/hotline/radio-...", "/dev/serial/by-id/..." or "tcp://host:4403"',
        ),
    ]
    node: Annotated[
        str,
        Meta(
            pattern=r"^![0-9a-f]{8}\Z",
            description='write the number of the far station\'s radio, such as "!4d4c00b2"',
        ),
    ]
    own_node: (
        Annotated[
            str,
            Meta(
                pattern=r"^![0-9a-f]{8}\Z",
                description='write the number of our own radio, such as "!4d4c00a1"',
            ),
        ]
        | None
    ) = None
    """Another radio at the port is refused; None: any is taken."""
    own_key: (
        Annotated[
            str,
            Meta(
                pattern=r"^[A-Za-z0-9+/]{43}=\Z",
                description="write the public key of our own radio as its app shows it, in base64",
            ),
        ]
        | None
    ) = None
    region: (
        Annotated[
            RegionWord,
            Meta(description='write the region where the radio stands, such as "EU_868"'),
        ]
        | None
    ) = None
    """This and all below: what `hotline radio set-up` brings our radio to; None leaves it."""
    preset: (
        Annotated[
            PresetWord,
            Meta(description='write the modem preset of both ends, such as "LONG_FAST"'),
        ]
        | None
    ) = None
    role: (
        Annotated[
            Literal["CLIENT", "CLIENT_MUTE"],
            Meta(description='write "CLIENT", which relays for others, or "CLIENT_MUTE"'),
        ]
        | None
    ) = None
    hop_limit: (
        Annotated[
            int, Meta(ge=1, le=7, description="write how often a frame may be relayed, 1 to 7")
        ]
        | None
    ) = None
    channel: (
        Annotated[
            str,
            Meta(
                pattern=r"^[ -~]{1,11}\Z",
                description="write the name of the channel at both ends: 1 to 11 of ASCII",
            ),
        ]
        | None
    ) = None
    channel_key_file: AbsolutePath | None = None
    """Base64 of 16 or 32 octets, mode 0600; the set-up and the doctor read it, no daemon does."""
    long_name: (
        Annotated[
            str,
            Meta(
                pattern=r"^[ -~]{1,36}\Z",
                description="write the radio's name for everyone in reach: 1 to 36 of ASCII",
            ),
        ]
        | None
    ) = None
    short_name: (
        Annotated[str, Meta(pattern=r"^[!-~]{1,4}\Z", description="write 1 to 4 of ASCII")] | None
    ) = None


class SerialLinkSettings(Table, frozen=True, kw_only=True, tag_field="driver", tag="serial"):
    name: LinkLabel
    port: Annotated[
        str,
        Meta(
            pattern=r"^/.+\Z",
            description='write its device, "/dev/hotline/cable-..." or "/dev/serial/by-id/..."',
        ),
    ]
    bit_rate: Annotated[
        int,
        Meta(ge=50, le=4_000_000, description="write bits a second, 50 to 4000000, such as 9600"),
    ] = 9600


LinkSettings = MeshtasticLinkSettings | SerialLinkSettings


class LineSettings(Table, frozen=True, kw_only=True):
    """One far station and the links to it."""

    card: Annotated[
        Path, Meta(description="write the whole path of the far station's card, from /")
    ]
    secret_file: Annotated[
        Path, Meta(description="write the whole path of the line's secret, from /")
    ]
    generation: Annotated[
        int, Meta(ge=1, le=255, description="write the number of the key generation, 1 to 255")
    ] = 1
    """Of a secret file with one line of digits; a file of several generations says it itself."""
    link: Annotated[
        tuple[LinkSettings, ...],
        Meta(
            min_length=1,
            max_length=LINK_COUNT_MAX,
            description="add 1 to 8 tables [[line.link]], best first (PACE)",
        ),
    ]


class Granted(Table, frozen=True, kw_only=True):
    """What a user of an adapter may do; `principal` words of the file as the engine's values."""

    role: RoleName
    submit: OperationWords
    precedence: PrecedenceLimit
    answer: Answering

    @property
    def role_code(self) -> Role:
        return Role[self.role.upper()]

    @property
    def rights(self) -> Rights:
        return Rights(
            submit=frozenset(Operation[word.upper()] for word in self.submit),
            precedence=Precedence[self.precedence.upper()],
            answer=self.answer,
        )


class ApiUserSettings(Granted, frozen=True, kw_only=True):
    name: Annotated[
        str, Meta(min_length=1, max_length=32, description="write a user of this machine")
    ]
    role: RoleName = "duty_officer"
    submit: OperationWords = ("test", "exercise")
    precedence: PrecedenceLimit = "flash"
    answer: Answering = False


class ApiSettings(Table, frozen=True, kw_only=True):
    group: (
        Annotated[
            str, Meta(max_length=32, description="write the group that may connect to the socket")
        ]
        | None
    ) = None
    """Owner group of `api.sock` (mode 0660); None leaves the daemon's own."""
    user: Annotated[
        tuple[ApiUserSettings, ...],
        Meta(max_length=API_USER_COUNT_MAX, description="add at most 64 tables [[api.user]]"),
    ] = ()


class MqttSettings(Granted, frozen=True, kw_only=True):
    url: Annotated[
        str,
        Meta(
            min_length=1,
            description='write "mqtt://host:1883", "mqtts://host:8883" or "unix:///path"',
        ),
    ]
    user: Annotated[str, Meta(min_length=1, description="write the user of the broker")] | None = (
        None
    )
    password_file: AbsolutePath | None = None
    ca_file: AbsolutePath | None = None
    """Certificates to trust for mqtts://; None: those of the system."""
    cert_file: AbsolutePath | None = None
    """Our own certificate (PEM), for a broker that asks for one."""
    key_file: AbsolutePath | None = None
    """Its private key, which nobody else may read."""
    republish_s: Annotated[int, Meta(ge=1, le=3600, description="write seconds, 1 to 3600")] = 60
    """A notice that the consumer has not taken is published again after this long."""
    role: RoleName = "automatic"
    submit: OperationWords = ("test", "exercise")
    precedence: PrecedenceLimit = "immediate"
    answer: Answering = False


class NatsSettings(Granted, frozen=True, kw_only=True):
    servers: Annotated[
        tuple[str, ...],
        Meta(
            min_length=1,
            max_length=NATS_SERVER_COUNT_MAX,
            description='list the servers of the cluster, "nats://host:4222" or "tls://host:4222"',
        ),
    ]
    replicas: Annotated[
        Literal[1, 3, 5],
        Meta(description="write 3, 5 for a cluster of five, or 1 for a server alone"),
    ] = 3
    """Copies that each stream has; less than this on the cluster is refused."""
    user: Annotated[str, Meta(min_length=1, description="write the user of the servers")] | None = (
        None
    )
    password_file: AbsolutePath | None = None
    nkey_file: AbsolutePath | None = None
    """Seed of a user (SU...), instead of user and password."""
    ca_file: AbsolutePath | None = None
    """Certificates to trust for tls://; None: those of the system."""
    cert_file: AbsolutePath | None = None
    """Our own certificate (PEM), for servers that ask for one."""
    key_file: AbsolutePath | None = None
    """Its private key, which nobody else may read."""
    role: RoleName = "automatic"
    submit: OperationWords = ("test", "exercise")
    precedence: PrecedenceLimit = "immediate"
    answer: Answering = False

    @property
    def is_tls(self) -> bool:
        return self.servers[0].startswith("tls:")


class SpareSettings(Table, frozen=True, kw_only=True):
    """This gateway is one of the two of its station: `hotline promote`, `hotline standby`."""

    name: Annotated[
        str,
        Meta(
            pattern=r"^[a-z][a-z0-9-]{0,15}\Z",
            description="write a name that the other gateway of this station does not have: 1 to"
            " 16 of a-z, 0-9 and -, a letter first",
        ),
    ]
    takeover: Annotated[
        Literal["hand", "lease"],
        Meta(description='write "hand" (a person promotes) or "lease" (the cluster decides)'),
    ] = "hand"
    lease_s: Annotated[int, Meta(ge=5, le=40, description="write seconds, 5 to 40")] = 15
    """Of both gateways: how long the active one may go without the cluster, by lease. With 40 the
    other begins after 50 s, and a FLASH is late after 60.
    """


class PinSettings(Table, frozen=True, kw_only=True):
    """BCM numbers; the defaults are those of hw/pins.toml."""

    alive: Pin = 17
    link: Annotated[
        tuple[Pin, ...], Meta(description="list BCM numbers, 12, 13 or 16 to 27, in PACE order")
    ] = (13, 19, 16, 20)
    """Lamps of the links in the order of the file."""
    pending_in: Pin = 27
    pending_out: Pin = 22
    alarm: Pin = 23
    exercise: Pin = 24
    buzzer: Pin = 12
    button: Pin = 6


class IndicatorSettings(Table, frozen=True, kw_only=True):
    factory: Annotated[
        Literal["lgpio", "mock", "none"],
        Meta(description='write "lgpio" on a Raspberry Pi, "mock" on a bench, or "none"'),
    ]
    console: Annotated[bool, Meta(description="write true or false")] = False
    """Draw the lamps on the daemon's terminal."""
    pins: PinSettings = field(default_factory=PinSettings)


class LogSettings(Table, frozen=True, kw_only=True):
    """The local log, for technicians. The log book is in the store."""

    folder: AbsolutePath | None = None
    """None: `log` in the state folder."""
    level: Annotated[
        Literal["debug", "info", "warning", "error"],
        Meta(description='write "debug", "info", "warning" or "error"'),
    ] = "info"
    file_size_max: Annotated[
        int, Meta(ge=10_000, le=100_000_000, description="write octets, 10000 to 100000000")
    ] = 1_000_000
    file_count: Annotated[int, Meta(ge=1, le=100, description="write 1 to 100")] = 5
    """Rotated files kept beside the one written."""


class StoreSettings(Table, frozen=True, kw_only=True):
    keep_days: Annotated[int, Meta(ge=50, le=36_500, description="write days, 50 to 36500")] = 365
    """Closed notices go after this: longer than any lifetime, so that nothing in force goes."""


class Settings(Table, frozen=True, kw_only=True):
    """The whole file."""

    station: StationSettings
    line: Annotated[
        tuple[LineSettings, ...],
        Meta(
            min_length=1,
            max_length=LINE_COUNT_MAX,
            description="join each far station, 1 to 16: `sudo hotline line invite` on one side,"
            " `sudo hotline line accept --add ...` on both",
        ),
    ]
    indicators: IndicatorSettings
    api: ApiSettings = field(default_factory=ApiSettings)
    mqtt: MqttSettings | None = None
    nats: NatsSettings | None = None
    """One of the two: a notice is taken once, by one consumer."""
    spare: SpareSettings | None = None
    log: LogSettings = field(default_factory=LogSettings)
    store: StoreSettings = field(default_factory=StoreSettings)
    policy: Annotated[
        dict[str, Any], Meta(description="make it a table [policy] of names and whole numbers")
    ] = field(default_factory=dict)
    """Overrides of `core.policy.Policy` by name; whole numbers, once checked."""

    @property
    def log_folder(self) -> Path:
        return self.log.folder or self.station.state_folder / "log"

    @property
    def api_socket(self) -> Path:
        return self.station.runtime_folder / "api.sock"

    @property
    def pins_socket(self) -> Path:
        return self.station.runtime_folder / "pins.sock"

    @property
    def lock_file(self) -> Path:
        """Held while a daemon runs; beside the state, so that no second one can use it."""
        return self.station.state_folder / "lock"

    @property
    def queue_address(self) -> str:
        """Of the broker or its servers; `embedded` where there is none."""
        if self.nats is not None:
            return ", ".join(self.nats.servers)
        return "embedded" if self.mqtt is None else self.mqtt.url

    @property
    def needs_tls(self) -> bool:
        """Whether a broker is reached by TLS; nats-py loads OpenSSL in any case."""
        return (
            self.nats is not None
            or self.spare is not None
            or (self.mqtt is not None and self.mqtt.url.startswith("mqtts:"))
        )

    @property
    def links(self) -> tuple[LinkSettings, ...]:
        """Every link of every line, in the order of the file: the order of the link lamps."""
        return tuple(link for line in self.line for link in line.link)
