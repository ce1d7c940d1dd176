"""`hotline completion`: the script that teaches a shell our commands and options."""

from __future__ import annotations

import click

from gateway.cli.options import Common, plain_options
from gateway.cli.output import print_json

PROGRAM = "hotline"


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@plain_options
def command(common: Common, shell: str) -> None:
    """Print the completion script for a shell.

    \b
    bash:  hotline completion bash > ~/.local/share/bash-completion/completions/hotline
    zsh:   hotline completion zsh > "${fpath[1]}/_hotline"
    fish:  hotline completion fish > ~/.config/fish/completions/hotline.fish
    """  # noqa: D301 (click reads the backspace)
    from click.shell_completion import get_completion_class

    from gateway.cli.main import hotline

    kind = get_completion_class(shell)
    if kind is None:  # pragma: no cover - click knows the three
        raise click.UsageError(f"click has no completion for {shell}")
    # `source()` alone starts bash to read its version; the script itself needs no check.
    completer = kind(hotline, {}, PROGRAM, "_HOTLINE_COMPLETE")
    script = completer.source_template % completer.source_vars()
    if common.json:
        print_json({"shell": shell, "script": script})
    else:
        click.echo(script)
