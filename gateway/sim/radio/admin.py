"""The admin module of a simulated radio: settings that a client changes, kept over a reboot.

As the firmware: a section is replaced whole; between `begin_edit_settings` and
`commit_edit_settings` nothing is saved, and a save ends in a reboot.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gateway.sim.radio.messages import Message, mesh_pb2
from gateway.sim.radio.modem import PRESETS, Modem

SAVE_REBOOT_S: Final = 7
"""From a save to the reboot."""
_VALUES_OF_LORA: Final = ("region", "modem_preset")
_Saved = tuple[dict[str, Message], dict[str, Message], dict[int, Message], Message | None]


class AdminModule:
    """What a client has set, over what the radio came with."""

    def __init__(self) -> None:
        self._config: dict[str, Message] = {}
        self._module_config: dict[str, Message] = {}
        self._channels: dict[int, Message] = {}
        self._owner: Message | None = None
        self._before_edit: _Saved | None = None
        """What is on the flash while an edit is open."""

    def overlay(self, message: Message, own_node: int) -> Message:
        """A message of the handshake, with what was set in place of what it had."""
        match message.WhichOneof("payload_variant"):
            case "config":
                _replace(message.config, self._config)
            case "moduleConfig":
                _replace(message.moduleConfig, self._module_config)
            case "channel" if message.channel.index in self._channels:
                message.channel.CopyFrom(self._channels[message.channel.index])
            case "node_info" if message.node_info.num == own_node and self._owner is not None:
                self._rename(message.node_info.user)
            case _:
                pass
        return message

    def obey(self, admin: Message, *, reboot: Callable[[int], None]) -> None:
        """Take an order; `reboot` is called with the seconds until then."""
        variant = admin.WhichOneof("payload_variant")
        match variant:
            case "begin_edit_settings":
                self._before_edit = self._before_edit or self._saved()
                return
            case "commit_edit_settings":
                self._before_edit = None
            case "set_config":
                self._set(self._config, admin.set_config)
            case "set_module_config":
                self._set(self._module_config, admin.set_module_config)
            case "set_channel":
                self._channels[admin.set_channel.index] = admin.set_channel
            case "set_owner":
                self._owner = admin.set_owner
            case "reboot_seconds" if admin.reboot_seconds >= 0:
                reboot(admin.reboot_seconds)
                return
            case _:
                return
        if self._before_edit is None:
            reboot(SAVE_REBOOT_S)

    def restart(self) -> None:
        """Read the flash again: an edit that was not committed is gone."""
        if self._before_edit is not None:
            self._config, self._module_config, self._channels, self._owner = self._before_edit
            self._before_edit = None

    def _saved(self) -> _Saved:
        return dict(self._config), dict(self._module_config), dict(self._channels), self._owner

    def modem(self, before: Modem) -> Modem:
        """The modem after the next boot."""
        lora = self._config.get("lora")
        if lora is None:
            return before
        words = {name: _word(lora, name) for name in _VALUES_OF_LORA}
        preset = words["modem_preset"]
        return Modem(preset if preset in PRESETS else before.preset, words["region"])

    @property
    def is_transmitter_on(self) -> bool:
        lora = self._config.get("lora")
        return lora is None or bool(lora.tx_enabled)

    def _set(self, sections: dict[str, Message], holder: Message) -> None:
        name = holder.WhichOneof("payload_variant")
        if name is not None:
            sections[name] = getattr(holder, name)

    def _rename(self, user: Message) -> None:
        owner = self._owner or mesh_pb2.User()
        user.long_name = owner.long_name or user.long_name
        user.short_name = owner.short_name or user.short_name


def _replace(holder: Message, sections: dict[str, Message]) -> None:
    name = holder.WhichOneof("payload_variant")
    if name in sections:
        getattr(holder, name).CopyFrom(sections[name])


def _word(message: Message, field: str) -> str:
    values = message.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number
    return str(values[getattr(message, field)].name)
