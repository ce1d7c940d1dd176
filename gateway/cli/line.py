"""`hotline line`: join two stations that share no network, by one QR code or file each way."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from gateway.cli.cards import card_document, load_keys, print_words
from gateway.cli.ceremony import compare, refuse_collision, refuse_ourselves
from gateway.cli.exits import CommandError, ExitCode
from gateway.cli.handover import (
    VALID_H,
    choose_way,
    hand_over,
    say_way,
    take_in,
    time_words,
    utc_now,
    way_options,
)
from gateway.cli.keyfiles import (
    PRIVATE_MODE,
    PUBLIC_MODE,
    configured_key_file,
    earlier_words,
    read_text_file,
    replace_card,
    write_new,
)
from gateway.cli.lines import configured_lines, read_secrets, write_secrets
from gateway.cli.number_type import IntegerRange
from gateway.cli.options import Common, file_options
from gateway.cli.output import print_json, say, warn
from gateway.cli.renewal import take_renewal
from gateway.cli.stanza import Links, append_or_show, line_stanza, link_options, typed_links

if TYPE_CHECKING:
    from gateway.security.cards import Card, StationKeys
    from gateway.security.invitation import Invitation, Reply
    from gateway.security.secrets import LineSecrets

PENDING_NAME: Final = "invitation.pending"
"""In the folder of the configuration, mode 0600: what was invited, until the reply is taken."""


@click.group("line")
@file_options
def command(_common: Common) -> None:
    """Join a line with a far station, on two machines that share no network.

    \b
    1. On each side:   hotline key new --station N --name NAME --party PARTY
    2. First side:     hotline line invite            shows a QR code (or --file, --png)
    3. Second side:    hotline line accept            takes it, and shows a reply
    4. First side:     hotline line accept            takes the reply
    Before a side writes anything, both operators read the words of their cards to each other, by
    voice, and say that they agree.
    """  # noqa: D301 (click reads the backspace)


@command.command("invite")
@way_options
@click.option(
    "--valid",
    type=IntegerRange(1, 8760),
    default=VALID_H,
    show_default=True,
    help="Hours in which it may be taken.",
)
@click.option("--again", is_flag=True, help="Void the invitation that is open, and make another.")
@file_options
def invite(common: Common, file: Path | None, png: Path | None, valid: int, again: bool) -> None:
    """Make an invitation with this station's card and the line's first secret.

    It is shown once. A second one voids the first.
    """
    from gateway.model import UtcTime
    from gateway.security.invitation import Term, invitation_text, parse_invitation

    keys, card = load_keys(configured_key_file(common))
    way = choose_way(common, file=file, png=png)
    now = utc_now()
    pending = _pending_path(common)
    if pending.exists() and not again:
        open_ = parse_invitation(read_text_file(pending, private=True))
        if now <= open_.term.expires:
            raise CommandError(
                ExitCode.CONFLICT,
                f"an invitation of {time_words(open_.term.made)} is open until"
                f" {time_words(open_.term.expires)} and is never shown twice; --again voids it and"
                " makes another",
            )
    term = Term(now, UtcTime(now + valid * 3600))
    text = invitation_text(card, keys, entropy=os.urandom(40), term=term)
    before = pending.read_bytes() if pending.exists() else None
    write_new(pending, text + "\n", mode=PRIVATE_MODE, replace=True)
    hand_over(text, way, undo=lambda: _put_back(pending, before))
    if common.json:
        until = time_words(term.expires)
        print_json({**card_document(card), "invitation": way.name, "expires": until})
        return
    say_way("invitation", way, is_secret=True)
    say(f"It may be taken until {time_words(term.expires)}. This station's words, to read aloud:")
    print_words(card)
    say("Next: `hotline line accept` here, with the reply of the other side.")


def _put_back(pending: Path, before: bytes | None) -> None:
    """Of an invitation that got no further than this: what was open before it, if anything."""
    if before is None:
        pending.unlink(missing_ok=True)
    else:
        write_new(pending, before, mode=PRIVATE_MODE, replace=True)


@dataclass(frozen=True, slots=True)
class _Wish:
    """The options of `line accept`."""

    source: str | None
    file: Path | None
    png: Path | None
    words: str | None
    yes: bool
    replace: bool
    add: bool
    links: Links


@command.command("accept")
@click.argument("source", required=False, metavar="[FILE|-]")
@way_options
@click.option("--words", help="The 8 words that the far side read to you: compared here.")
@click.option("-y", "--yes", is_flag=True, help="The words were compared already: do not ask.")
@click.option("--replace", is_flag=True, help="The far station is known here: replace its keys.")
@link_options
@file_options
def accept(
    common: Common,
    *,
    radio: tuple[str, str] | None,
    cable: tuple[str, str] | None,
    **options: Any,  # noqa: ANN401 (click's options)
) -> None:
    """Take what the far station made: an invitation, the reply to ours, or a renewal of secrets.

    Without FILE it is pasted or scanned at the prompt; it is never given as an argument, which
    other users of the machine could read. An invitation is answered by a reply, shown as a QR code
    or written with --file or --png.
    """
    from gateway.security.paper import prefix_of

    add_to = common.config_path if options["add"] else None
    wish = _Wish(**options, links=typed_links(radio, cable, add_to=add_to))
    keys, own = load_keys(configured_key_file(common))
    text = take_in(wish.source, kinds=("invite", "reply", "renew"))
    if text.startswith(prefix_of("renew")):
        take_renewal(common, text, own)
    elif text.startswith(prefix_of("reply")):
        _take_reply(common, text, own, wish)
    else:
        _take_invitation(common, text, keys, own, wish)


def _take_invitation(common: Common, text: str, keys: StationKeys, own: Card, wish: _Wish) -> None:
    """Second side: trust, keep, answer."""
    from gateway.security.invitation import parse_invitation, reply_text
    from gateway.security.secrets import LineSecrets

    invitation = parse_invitation(text)
    card = invitation.card
    if card.sign_public == own.sign_public:
        raise CommandError(
            ExitCode.USAGE,
            "this is the invitation that this station made; the far station takes it, and what it"
            " answers is taken here",
        )
    known = _known(common, card)
    reply_path = _folder(common) / f"{card.name}.reply"
    if _is_kept(common, card, known, invitation.token):
        if _finish(common, card, wish, {"reply": str(reply_path)}):
            return
        raise CommandError(
            ExitCode.CONFLICT,
            f"this invitation of {card.name} was taken here already; its reply is in {reply_path}"
            + _missing_line(common, card),
        )
    invitation.term.check("invitation", utc_now())
    way = choose_way(common, file=wish.file, png=wish.png)
    stanza = _check_trust(common, own, card, known, wish, invitation.token)
    reply = reply_text(invitation, own, keys)
    # The reply first: it holds no secret, and after a power cut it could not be made again.
    write_new(reply_path, reply + "\n", mode=PUBLIC_MODE, replace=True)
    hand_over(reply, way)
    revoked = () if known is None else known.revoked
    secrets = LineSecrets(invitation.secret, {1: invitation.secret}, revoked)
    secrets = secrets.remembering(invitation.token.hex())
    earlier = _keep(common, card, invitation.card_proof, secrets, wish, stanza)
    if common.json:
        _print_taken(card, stanza, wish, {"reply": way.name or str(reply_path), **earlier})
        return
    say_way("reply", way, is_secret=False)
    say(f"It holds no secret; a copy is in {reply_path}. Destroy the invitation now.")
    _tell(common, stanza, wish)


def _take_reply(common: Common, text: str, own: Card, wish: _Wish) -> None:
    """First side: the reply must be to the invitation that is open here."""
    from gateway.security.invitation import parse_invitation, parse_reply
    from gateway.security.secrets import LineSecrets

    reply = parse_reply(text)
    card = reply.card
    if card.sign_public == own.sign_public:
        raise CommandError(
            ExitCode.USAGE, "this reply is of this station itself; the inviting station takes it"
        )
    pending = _pending_path(common)
    known = _known(common, card)
    if _is_kept(common, card, known, reply.token):
        is_finished = _finish(common, card, wish, {})
        if _token_of(pending) == reply.token:
            pending.unlink(missing_ok=True)  # a power cut came between
        if is_finished:
            return
        raise CommandError(
            ExitCode.CONFLICT,
            f"this reply of {card.name} was taken here already; nothing changed"
            + _missing_line(common, card),
        )
    if not pending.exists():
        raise CommandError(
            ExitCode.NOT_FOUND,
            "no invitation is open here; make one with `hotline line invite`",
        )
    invitation = parse_invitation(read_text_file(pending, private=True))
    _check_reply(reply, invitation, own)
    invitation.term.check("invitation", utc_now())
    stanza = _check_trust(common, own, card, known, wish, reply.token)
    revoked = () if known is None else known.revoked
    secrets = LineSecrets(invitation.secret, {1: invitation.secret}, revoked)
    secrets = secrets.remembering(reply.token.hex())
    earlier = _keep(common, card, reply.card_proof, secrets, wish, stanza)
    pending.unlink(missing_ok=True)
    if common.json:
        _print_taken(card, stanza, wish, earlier)
        return
    _tell(common, stanza, wish)


def _check_reply(reply: Reply, invitation: Invitation, own: Card) -> None:
    from gateway.security.invitation import confirms

    if invitation.card != own:
        raise CommandError(
            ExitCode.CONFLICT,
            "the open invitation was made with other keys of this station; make another:"
            " `hotline line invite --again`",
        )
    if reply.token != invitation.token:
        raise CommandError(
            ExitCode.REFUSED,
            f"this reply of {reply.card.name} is to another invitation than the one of"
            f" {time_words(invitation.term.made)} that is open here; let them take that one",
        )
    if not confirms(reply, invitation):
        raise CommandError(
            ExitCode.REFUSED,
            f"this reply of {reply.card.name} was not made from our invitation; somebody may have"
            " exchanged it on its way: do not trust it, make another invitation with --again",
        )


def _check_trust(
    common: Common, own: Card, card: Card, known: LineSecrets | None, wish: _Wish, token: bytes
) -> str:
    """Everything that must hold before a card is kept, the compared words last; the stanza."""
    refuse_ourselves(own, card)
    refuse_collision(card, _folder(common))
    if known is not None and card.sign_public in known.revoked:
        raise CommandError(
            ExitCode.REFUSED,
            f"this card of {card.name} was revoked here; their station needs new keys"
            " (hotline key new), and then a new invitation",
        )
    card_path, secret_path = _files_of(common, card)
    is_begun = known is not None and token.hex() in known.taken and not card_path.exists()
    if known is not None and not wish.replace and not is_begun:
        raise CommandError(
            ExitCode.CONFLICT,
            f"{card.name} is known here and the line has its secrets; ask {card.name} by voice why"
            " they join again, then use --replace",
        )
    add_to = common.config_path if wish.add else None
    stanza = line_stanza(card_path, secret_path, wish.links, add_to=add_to)
    compare(common, own, card, words=wish.words, yes=wish.yes)
    return stanza


def _keep(
    common: Common,
    card: Card,
    card_proof: bytes,
    secrets: LineSecrets,
    wish: _Wish,
    stanza: str,
) -> dict[str, str]:
    """The card, then the secrets, then the configuration; where an earlier card is now.

    The secrets hold what was taken: with the card after them, a power cut between the two left a
    line that the same command would not finish.
    """
    from gateway.security.paper import write_paper

    card_path, secret_path = _files_of(common, card)
    earlier = replace_card(card_path, write_paper("card", card_proof) + "\n")
    if earlier is not None and not common.json:
        say(earlier_words(earlier))
    write_secrets(secret_path, secrets)
    if wish.add:
        append_or_show(common.config_path, stanza, card_path)
    return {} if earlier is None else {"earlier_card": str(earlier)}


def _is_kept(common: Common, card: Card, known: LineSecrets | None, token: bytes) -> bool:
    """Whether this was taken, with its card: all but the configuration is there."""
    from gateway.security.cards import parse_card

    if known is None or token.hex() not in known.taken:
        return False
    card_path, _ = _files_of(common, card)
    return card_path.exists() and parse_card(read_text_file(card_path)) == card


def _finish(common: Common, card: Card, wish: _Wish, more: dict[str, str]) -> bool:
    """Add the line of a card that is kept, where a power cut or a full disk came before."""
    if not wish.add or _has_line(common, card):
        return False
    card_path, secret_path = _files_of(common, card)
    stanza = line_stanza(card_path, secret_path, wish.links, add_to=common.config_path)
    append_or_show(common.config_path, stanza, card_path)
    if common.json:
        _print_taken(card, stanza, wish, more)
    else:
        say(f"{card.name} was taken here already; what was missing is its [[line]].")
        _tell(common, stanza, wish)
    return True


def _has_line(common: Common, card: Card) -> bool:
    return any(line.card.name == card.name for line in configured_lines(common))


def _missing_line(common: Common, card: Card) -> str:
    """What is left to do for a card that is kept, at the end of a sentence."""
    with suppress(CommandError):
        if not _has_line(common, card):
            return (
                f"; {common.config_path} has no [[line]] to {card.name}: the same command with"
                " --add and its link (--radio, --cable) puts it there"
            )
    return ""


def _files_of(common: Common, card: Card) -> tuple[Path, Path]:
    """Where the far station's card and the line's secret are kept."""
    folder = _folder(common)
    return folder / f"{card.name}.card", folder / f"{card.name}.secret"


def _known(common: Common, card: Card) -> LineSecrets | None:
    """The secrets of the line to this station, if there are any."""
    path = _folder(common) / f"{card.name}.secret"
    return read_secrets(path) if path.exists() else None


def _token_of(pending: Path) -> bytes | None:
    from gateway.security.invitation import parse_invitation

    if not pending.exists():
        return None
    return parse_invitation(read_text_file(pending, private=True)).token


def _folder(common: Common) -> Path:
    return common.config_path.parent.absolute()


def _pending_path(common: Common) -> Path:
    return _folder(common) / PENDING_NAME


def _print_taken(card: Card, stanza: str, wish: _Wish, more: dict[str, str]) -> None:
    print_json({**card_document(card), "stanza": stanza, "added": wish.add, **more})


def _tell(common: Common, stanza: str, wish: _Wish) -> None:
    if wish.add:
        say(f"added to {common.config_path}; check it with `hotline config check`")
    elif wish.replace:
        say("Restart the gateway to take the new keys: systemctl restart hotline-gateway")
    else:
        warn(f"add this to {common.config_path}:")
        click.echo(stanza, nl=False)
