"""The questions of `hotline init`: each answer is checked when it is given, and asked again."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import click

from gateway.cli.exits import CommandError
from gateway.cli.init_wish import BIT_RATE, NONE, Wish, as_typed, chosen_pins, pin_words, reasons
from gateway.cli.number_type import IntegerRange
from gateway.cli.output import print_fields, say, warn
from gateway.cli.ports_found import FoundPort
from gateway.errors import ConfigError, FieldError

LAMPS: Final = ("lgpio", "mock", NONE)
STATION_RANGE: Final = IntegerRange(1, 255)
BIT_RATE_RANGE: Final = IntegerRange(50, 4_000_000)
_KEEP: Final = "keep"


def completed(wish: Wish, ports: list[FoundPort], *, lamps: str) -> Wish:
    """The wish with everything chosen by the options, else by what was found here."""
    cable = wish.cable or _first(ports, "cable")
    return replace(
        wish,
        radio=wish.radio or _first(ports, "radio"),
        cable=cable,
        bit_rate=wish.bit_rate or (None if cable == NONE else BIT_RATE),
        lamps=wish.lamps or lamps,
    )


def _first(ports: list[FoundPort], kind: str) -> str:
    return next((port.path for port in ports if port.kind == kind), NONE)


@dataclass(frozen=True, slots=True)
class Questions:
    """Asks for what the options left open. `check` refuses a wish as `check_wish` does."""

    check: Callable[[Wish], None]

    def ask_all(self, wish: Wish, ports: list[FoundPort], *, lamps: str) -> Wish:
        """The wish with every answer; what was found is the default."""
        if ports:
            say("found here")
            print_fields([(f"  {port.kind}", f"{port.path}  {port.text}") for port in ports])
        if wish.station is None:
            wish = self._ask(
                wish, "station", "Number of this station, 1 to 255", type=STATION_RANGE
            )
        if wish.name is None:
            wish = self._ask(wish, "name", "Its name (1 to 12 of A-Z, 0-9 and -)")
        if wish.party is None:
            wish = self._ask(wish, "party", "The party it speaks for, at most 40 octets")
        wish = self._ask_links(wish, ports)
        wish = self._ask_lamps(wish, lamps)
        if wish.mqtt is None:
            wish = self._ask(wish, "mqtt", "URL of an MQTT broker, or none", default=NONE)
        return wish

    def _ask_links(self, wish: Wish, ports: list[FoundPort]) -> Wish:
        if wish.radio is None:
            wish = self._ask(
                wish, "radio", "Port of the radio, or none", default=_first(ports, "radio")
            )
        if wish.radio != NONE and wish.far_node is None:
            question = "Number of the far station's radio (!...), or none"
            wish = self._ask(wish, "far_node", question, default=NONE)
        if wish.cable is None:
            wish = self._ask(
                wish, "cable", "Port of the cable, or none", default=_first(ports, "cable")
            )
        if wish.cable != NONE and wish.bit_rate is None:
            question = "Bits a second on the cable, the same at both ends"
            wish = self._ask(wish, "bit_rate", question, default=BIT_RATE, type=BIT_RATE_RANGE)
        return wish

    def _ask_lamps(self, wish: Wish, lamps: str) -> Wish:
        if wish.lamps is None:
            question = "Lamps and button: lgpio on a Pi with the panel, mock on a bench, or none"
            wish = self._ask(wish, "lamps", question, default=lamps, type=click.Choice(LAMPS))
        if wish.lamps == NONE or wish.pins:
            return wish
        say("pins, BCM number and pin of the header")
        print_fields(pin_rows(wish))
        question = "Enter to keep these pins, or others, such as: alarm=25 link=16,20"
        return self._ask(wish, "pins", question, default=_KEEP)

    def _ask(self, wish: Wish, field: str, question: str, **options: Any) -> Wish:  # noqa: ANN401 (click's)
        """The wish with an answer that is not refused."""
        while True:
            answer = click.prompt(question, err=True, **options)
            trial = as_typed(replace(wish, **{field: _value(field, answer)}))
            try:
                self.check(trial)
            except (ConfigError, FieldError, CommandError, click.UsageError) as error:
                for reason in reasons(error):
                    warn(f"no: {reason}")
            else:
                return trial


def pin_rows(wish: Wish) -> list[tuple[str, object]]:
    return [(f"  {name}", pin_words(pins)) for name, pins in chosen_pins(wish.pins).items()]


def _value(field: str, answer: Any) -> Any:  # noqa: ANN401 (click's)
    """An answer as the wish keeps it."""
    if not isinstance(answer, str):
        return answer
    text = answer.strip()
    if field == "pins":
        return () if text == _KEEP else tuple(re.sub(r"\s*([=,])\s*", r"\1", text).split())
    return None if field == "far_node" and text == NONE else text
