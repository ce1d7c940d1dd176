"""`hotline phrases`: the codebook, as this station reads it."""

from __future__ import annotations

import click

from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.options import Common, language_option, plain_options
from gateway.cli.output import print_block, print_fields, print_json, print_table, say
from gateway.wire.codebook import codebook_document, entry_document, phrase
from gateway.wire.phrase_entry import PhraseEntry
from gateway.wire.phrases import PHRASES


@click.command("phrases")
@click.argument("number", type=int, required=False)
@language_option
@plain_options
def command(common: Common, number: int | None, language: str) -> None:
    """List the phrases of the codebook, or show phrase NUMBER in every language.

    A phrase has the same meaning in every language. The kinds QUERY, UPDATE and CANCEL go with any
    phrase: is it so, this changes, no longer so. Slots are filled in their order:

    \b
    hotline send SOUTH -k NOTIFY -p P -o EXERCISE --phrase 12 --slot A-7 --slot 3 \\
        --slot "KILO 4" --slot M5 --window "221430Z NOV 26" "221600Z NOV 26"
    """  # noqa: D301 (click reads the backspace)
    if number is not None:
        _show(common, number)
    elif common.json:
        print_json(codebook_document())
    else:
        rows = [
            (str(entry.code), _kinds(entry), _needs(entry), entry.templates[language])
            for entry in PHRASES
        ]
        print_table(("PHRASE", "KIND", "NEEDS", "TEXT"), rows, empty="The codebook is empty.")


def _show(common: Common, number: int) -> None:
    entry = phrase(number)
    if entry is None:
        raise CommandError(
            ExitCode.NOT_FOUND, f"phrase {number} is not in the codebook; see `hotline phrases`"
        )
    if common.json:
        print_json(entry_document(entry))
        return
    slots = [f"{slot.name} ({slot.type.value})" for slot in entry.slots]
    print_fields(
        [
            ("phrase", entry.code),
            ("kind", _kinds(entry)),
            ("needs", _needs(entry) or None),
            ("slots", ", ".join(slots) or "none"),
        ]
    )
    for language, template in entry.templates.items():
        say(language)
        print_block(template)


def _kinds(entry: PhraseEntry) -> str:
    return ", ".join(kind.name for kind in entry.kinds)


def _needs(entry: PhraseEntry) -> str:
    return ", ".join(entry.needs)
