"""From the configuration to the adapters of queues. Only the library that is used is imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gateway.config.keys import read_nkey, read_password
from gateway.config.settings import MqttSettings, NatsSettings, Settings
from gateway.core.events import Principal
from gateway.queues.base import Desk, QueueAdapter
from gateway.store.base import Store

if TYPE_CHECKING:
    from gateway.queues.nats_connection import Access

MakeAdapter = Callable[[], QueueAdapter]


def make_adapters(settings: Settings, desk: Desk, store: Store) -> dict[str, MakeAdapter]:
    """What makes the adapter of each queue, by the queue's name."""
    name = settings.station.name
    made = {}
    if settings.mqtt is not None:
        from gateway.queues import mqtt

        made[mqtt.QUEUE] = _mqtt(settings.mqtt, name, desk, store)
    if settings.nats is not None:
        from gateway.queues import nats

        made[nats.QUEUE] = _nats(settings.nats, name, desk, store)
    return made


def _mqtt(mqtt: MqttSettings, station: str, desk: Desk, store: Store) -> MakeAdapter:
    from gateway.queues.mqtt import QUEUE, MqttAdapter, MqttOptions
    from gateway.queues.mqtt_connection import Tls

    options = MqttOptions(
        url=mqtt.url,
        station=station,
        principal=Principal(QUEUE, mqtt.user or "broker", mqtt.role_code, mqtt.rights),
        user=mqtt.user,
        password=None if mqtt.password_file is None else read_password(mqtt.password_file),
        tls=Tls(mqtt.ca_file, mqtt.cert_file, mqtt.key_file),
        republish_s=mqtt.republish_s,
    )
    return lambda: MqttAdapter(options, desk, store)


def _nats(nats: NatsSettings, station: str, desk: Desk, store: Store) -> MakeAdapter:
    from gateway.queues.nats import QUEUE, NatsAdapter, NatsOptions
    from gateway.queues.nats_connection import ServerRing

    access = nats_access(nats, station)
    options = NatsOptions(
        access, Principal(QUEUE, nats.user or "broker", nats.role_code, nats.rights)
    )
    ring = ServerRing(access)
    return lambda: NatsAdapter(options, ring, desk, store)


def nats_access(nats: NatsSettings, station: str) -> Access:
    """Who we are at the cluster. Raises `FileProblemError`, `FieldError`."""
    from gateway.queues.mqtt_socket import Tls
    from gateway.queues.nats_connection import Access

    return Access(
        servers=nats.servers,
        station=station,
        user=nats.user,
        password=None if nats.password_file is None else read_password(nats.password_file),
        nkey=None if nats.nkey_file is None else read_nkey(nats.nkey_file),
        tls=Tls(nats.ca_file, nats.cert_file, nats.key_file),
        replicas=nats.replicas,
    )
