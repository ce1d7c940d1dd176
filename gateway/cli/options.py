"""Options that commands share: they may stand before or behind the name of the command."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeVar

import click

from gateway.wire.codebook import phrase_language
from gateway.wire.phrase_entry import PHRASE_LANGUAGES

P = ParamSpec("P")
R = TypeVar("R")

CONFIG_DEFAULT: Final = Path("/etc/hotline-gateway/hotline.toml")
CONFIG_VARIABLE: Final = "HOTLINE_CONFIG"
SOCKET_VARIABLE: Final = "HOTLINE_SOCKET"
LANGUAGE_VARIABLE: Final = "HOTLINE_LANGUAGE"
"""The language that the watch of this station reads."""


@dataclass
class Common:
    """What the shared options said in this run of the program."""

    config: Path | None = None
    socket: Path | None = None
    debug: bool = False
    json: bool = False

    @property
    def config_path(self) -> Path:
        return self.config or CONFIG_DEFAULT


def _store(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:  # noqa: ANN401 (click's own type)
    """Keep a value in `Common`; an option that was not given changes nothing."""
    if value and parameter.name:
        setattr(ctx.ensure_object(Common), parameter.name, value)


def _path_option(name: str, help_text: str, variable: str | None = None) -> Callable[[Any], Any]:
    return click.option(
        name,
        # Whether it can be read is found out, and told better, where it is used.
        type=click.Path(path_type=Path, readable=False),
        envvar=variable,
        expose_value=False,
        callback=_store,
        help=help_text,
    )


_CONFIG_HELP: Final = f"Configuration file.  [{CONFIG_VARIABLE}; default: {CONFIG_DEFAULT}]"
_SOCKET_HELP: Final = (
    f"Socket of the gateway.  [{SOCKET_VARIABLE}; default: as the configuration says]"
)
_CONFIG = _path_option("--config", _CONFIG_HELP)
_SOCKET = _path_option("--socket", _SOCKET_HELP)
_JSON = click.option(
    "--json", is_flag=True, expose_value=False, callback=_store, help="Print JSON for programs."
)
_DEBUG = click.option(
    "--debug",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_store,
    help="Show details of a failure.",
)


def reading_language(tag: str | None = None) -> str:
    """The codebook's language for a tag, else for HOTLINE_LANGUAGE, else English."""
    return phrase_language(tag or os.environ.get(LANGUAGE_VARIABLE) or PHRASE_LANGUAGES[0])


language_option = click.option(
    "--language",
    callback=lambda _ctx, _parameter, value: reading_language(value),
    metavar="[" + "|".join(PHRASE_LANGUAGES) + "]",
    help=f"Language to show phrases in.  [{LANGUAGE_VARIABLE}; default: {PHRASE_LANGUAGES[0]}]",
)
"""For commands that show phrases; free text stays as its originator wrote it."""


def _with(*options: Callable[[Any], Any]) -> Callable[[Callable[..., R]], Callable[..., R]]:
    def decorate(function: Callable[..., R]) -> Callable[..., R]:
        for option in reversed((*options, click.make_pass_decorator(Common, ensure=True))):
            function = option(function)
        return function

    return decorate


global_options = _with(
    # The variables are read here alone: a command's own reading would undo `hotline --socket`.
    _path_option("--config", _CONFIG_HELP, CONFIG_VARIABLE),
    _path_option("--socket", _SOCKET_HELP, SOCKET_VARIABLE),
    _JSON,
    _DEBUG,
)
"""For `hotline` itself; the command gets `Common` first, as all below."""
api_options = _with(_CONFIG, _SOCKET, _JSON, _DEBUG)
"""For commands that speak to the running gateway."""
file_options = _with(_CONFIG, _JSON, _DEBUG)
"""For commands that need the configuration file and no gateway."""
plain_options = _with(_JSON, _DEBUG)
"""For commands that need neither."""
