"""A program that takes the notices of one station from an MQTT 5 broker, each once.

    python mqtt_consumer.py HOST PORT STATION FILE

It needs `paho-mqtt` and nothing of the gateway; README.md beside it has the rules that it keeps.
"""

import json
import sqlite3
import sys
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

Codes = list[ReasonCode]
TABLES = """PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS ledger (station TEXT, id TEXT, PRIMARY KEY (station, id));
CREATE TABLE IF NOT EXISTS work (station TEXT, notice TEXT);"""


def main(host: str, port: str, station: str, file: str) -> None:
    database = sqlite3.connect(file)
    database.executescript(TABLES)

    def check(what: str, *codes: ReasonCode) -> None:
        if any(code.is_failure for code in codes):
            sys.exit(f"the broker refuses {what}: {codes[0]}; see its users and rights")

    def on_connect(it: paho.Client, _: object, __: object, code: ReasonCode, *___: object) -> None:
        check("the connection", code)
        it.subscribe(f"hotline/v1/{station}/notice/#", qos=1)

    def on_subscribe(_: object, __: object, ___: object, codes: Codes, *____: object) -> None:
        check(f"the notices of {station}", *codes)

    def on_connect_fail(*_: object) -> None:
        sys.stderr.write(f"{host}:{port} is not reached\n")

    def on_message(client: paho.Client, _: object, message: paho.MQTTMessage) -> None:
        try:
            text = message.payload.decode()
            key = (station, str(json.loads(text)["id"].encode(), "ascii"))
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            sys.stderr.write(f"not a notice, on {message.topic}\n")
            client.ack(message.mid, message.qos)  # rule 5
            return
        with database:  # rules 1 and 2: the id and the work about the notice in one transaction
            if database.execute("INSERT OR IGNORE INTO ledger VALUES (?, ?)", key).rowcount:
                database.execute("INSERT INTO work VALUES (?, ?)", (station, text))
        client.publish(f"hotline/v1/{station}/taken", json.dumps({"id": key[1]}), qos=1)  # rule 3
        client.ack(message.mid, message.qos)

    client = paho.Client(
        CallbackAPIVersion.VERSION2, f"consumer-{station}", protocol=paho.MQTTv5, manual_ack=True
    )
    client.on_connect, client.on_connect_fail = on_connect, on_connect_fail
    client.on_subscribe, client.on_message = on_subscribe, on_message
    session: Any = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    session.SessionExpiryInterval = 0xFFFF_FFFF  # rule 4: the broker keeps what comes meanwhile
    client.connect_async(host, int(port), clean_start=False, properties=session)
    client.reconnect_delay_set(1, 5)
    client.loop_forever(retry_first_connection=True)


if __name__ == "__main__":
    main(*sys.argv[1:5])
