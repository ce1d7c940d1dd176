"""What dpkg runs: the package's scripts, on folders of the test, with everything that would touch
this machine replaced by programs that only write down how they were called.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DEB = Path(__file__).parents[2] / "systemd/deb"
SCRIPTS = ("postinst", "prerm", "postrm")
UNIT = "hotline-gateway.service"
ENABLED = f"etc/systemd/system/multi-user.target.wants/{UNIT}"
CONFIG = "etc/hotline-gateway"
STATE = "var/lib/hotline-gateway"
PROGRAMS = (
    *("deb-systemd-invoke", "systemd-sysusers", "systemd-tmpfiles", "udevadm", "journalctl"),
    *("chown", "userdel", "groupdel"),
)
HINT = "sudo systemctl enable --now hotline-gateway"


class Station:
    """Folders as a package and its operator leave them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[str] = []
        for program in PROGRAMS:
            self.program(program, "exit 0")
        self.program("getent", "exit 2")
        self.program(
            "systemctl",
            f'case "$*" in\n*is-enabled*) test -L "{root}/{ENABLED}" ;;\n'
            f'*is-active*) test -e "{root}/active" ;;\nesac',
        )
        self.file("run/systemd/system/none")
        home = root / "opt/hotline-gateway"
        self.file("opt/hotline-gateway/lib/both/gateway.py", "STATION = 1\n")
        version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        self.file(f"opt/hotline-gateway/lib/{version}/site-packages/library.py")
        (home / "bin").mkdir()
        (home / "bin/python3").symlink_to(sys.executable)
        (home / "bin/hotline").write_text("#!/bin/sh\n")
        (home / "bin/hotline").chmod(0o755)

    def program(self, name: str, does: str) -> None:
        """Put a program before that of the machine."""
        path = self.root / "programs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'#!/bin/sh\necho "{name} $*" >>"{self.root}/calls"\n{does}\n')
        path.chmod(0o755)

    def file(self, name: str, text: str = "") -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def enable(self) -> None:
        link = self.root / ENABLED
        link.parent.mkdir(parents=True)
        link.symlink_to(f"/usr/lib/systemd/system/{UNIT}")

    def run(self, script: str, *arguments: str) -> str:
        """What it says; what it called is in `calls`."""
        folders = r"(?<![\w/])/(?=(?:etc|var|run|opt|dev(?!/null))\b)"
        text = re.sub(folders, f"{self.root}/", (DEB / script).read_text())
        (self.root / "calls").write_text("")
        ended = subprocess.run(
            ["sh", "-c", text, script, *arguments],
            env={**os.environ, "PATH": f"{self.root}/programs:/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        self.calls = (self.root / "calls").read_text().splitlines()
        return ended.stdout

    def compiled(self) -> list[str]:
        return [path.name for path in (self.root / "opt").rglob("*.pyc")]

    def left(self, folder: str) -> list[str]:
        """The files below a folder."""
        root = self.root / folder
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


@pytest.fixture
def station(tmp_path: Path) -> Station:
    return Station(tmp_path)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_shell(name: str) -> None:
    """dash, which Debian runs them with, reads each."""
    subprocess.run(["sh", "-n", DEB / name], check=True, timeout=20)


# --- installed, removed, installed again


def test_a_first_installation_starts_nothing_and_says_what_comes_next(station: Station) -> None:
    """Nothing is configured: the service is neither enabled nor started."""
    said = station.run("postinst", "configure", "")
    assert "sudo hotline init" in said
    assert HINT in said
    assert not [call for call in station.calls if call.startswith("deb-systemd-invoke")]
    assert len(station.compiled()) == 2


def test_a_removal_stops_the_service_and_keeps_it_enabled(station: Station) -> None:
    """Whoever installs the package again has the service as it was, and running."""
    station.enable()
    station.file(f"{CONFIG}/hotline.toml")
    station.run("prerm", "remove")
    assert station.calls == [f"deb-systemd-invoke stop {UNIT}"]
    station.run("postrm", "remove")
    assert (station.root / ENABLED).is_symlink()
    assert "disabled" not in station.run("postinst", "configure", "0.1.0-1")
    assert f"deb-systemd-invoke reload-or-restart {UNIT}" in station.calls


def test_an_upgrade_of_what_is_not_enabled_restarts_only_what_runs(station: Station) -> None:
    """What an operator started by hand goes on; what is stopped stays so, and that is said."""
    station.file(f"{CONFIG}/hotline.toml")
    station.file("active")
    assert HINT not in station.run("postinst", "configure", "0.1.0-1")
    assert f"deb-systemd-invoke try-restart {UNIT}" in station.calls
    (station.root / "active").unlink()
    said = station.run("postinst", "configure", "0.1.0-1")
    assert "disabled" in said
    assert HINT in said


def test_another_python_restarts_only_what_runs(station: Station) -> None:
    """Debian's next Python is no reason to start what somebody has stopped."""
    station.enable()
    station.run("postinst", "triggered", "/usr/bin/python3")
    assert [it for it in station.calls if UNIT in it] == [f"deb-systemd-invoke try-restart {UNIT}"]


@pytest.mark.parametrize("what", ["upgrade", "remove"])
def test_after_an_aborted_change_all_is_as_before(station: Station, what: str) -> None:
    """The version that stays is compiled, and its service runs as it did."""
    station.enable()
    station.run("postinst", "configure", "")
    assert station.compiled()
    station.run("prerm", what)
    assert station.compiled() == []
    station.run("postinst", f"abort-{what}", "0.1.0-2")
    assert len(station.compiled()) == 2
    assert f"deb-systemd-invoke start {UNIT}" in station.calls


@pytest.mark.parametrize("what", ["upgrade", "failed-upgrade", "remove"])
def test_a_lost_folder_does_not_stop_its_repair(station: Station, what: str) -> None:
    """What a file system check threw away is installed again, or removed."""
    shutil.rmtree(station.root / "opt")
    station.run("prerm", what)


def test_a_removal_gives_devices_and_unit_back(station: Station) -> None:
    """The devices are gone over without our rules; no failed unit stays in systemd's list."""
    station.run("postrm", "remove")
    asked = [call for call in station.calls if call.startswith("udevadm")]
    assert asked[0] == "udevadm control --reload"
    assert "--action=add" in asked[1]
    for subsystem in ("tty", "usb", "gpio"):
        assert f"--subsystem-match={subsystem}" in asked[1]
    assert f"systemctl reset-failed {UNIT}" in station.calls


# --- purged


def configured(station: Station, settings: str = "") -> None:
    station.file(f"{CONFIG}/hotline.toml", settings)
    for name in ("station.key", "SOUTH.secret", "NORTH.card"):
        station.file(f"{CONFIG}/{name}")


def test_purge_keeps_the_log_book_and_says_where(station: Station) -> None:
    """Keys, database and configuration go; the book and the cards that verify it stay."""
    configured(station)
    station.enable()
    for name in ("hotline.sqlite", "hotline.sqlite.schema-3", "ballast", "logbook/1.book"):
        station.file(f"{STATE}/{name}")
    said = station.run("postrm", "purge")
    assert f"{station.root}/{STATE}/logbook" in said
    assert not (station.root / CONFIG).exists()
    assert not (station.root / ENABLED).is_symlink()
    assert station.left(STATE) == ["logbook/1.book", "logbook/NORTH.card"]


def test_purge_of_a_station_that_never_ran_leaves_nothing(station: Station) -> None:
    """No log book, no folder, not a word."""
    for folder in (CONFIG, STATE):
        (station.root / folder).mkdir(parents=True)
    assert station.run("postrm", "purge") == ""
    assert not (station.root / CONFIG).exists()
    assert not (station.root / STATE).exists()


WRITTEN = (
    '[station]\nstate_folder = "{}"\n',
    "[station]\n  state_folder='{}'\n",
    '[station]\nstate_folder = "{}/" # where the "state" is\n',
    'station = {{ name = "NORTH", state_folder = """{}""" }}\n',
)


@pytest.mark.parametrize("settings", WRITTEN)
def test_purge_leaves_a_state_folder_elsewhere(station: Station, settings: str) -> None:
    """However it is written: what the operator put there stays, with the cards beside the book."""
    elsewhere = station.file("srv/st/logbook/1.book").parents[1]
    station.file("srv/st/hotline.sqlite")
    station.file(f"{STATE}/ballast")
    configured(station, settings.format(elsewhere))
    said = station.run("postrm", "purge")
    assert f"{elsewhere}, the state folder" in said
    assert f"{elsewhere}/logbook" in said
    assert station.left("srv/st") == ["hotline.sqlite", "logbook/1.book", "logbook/NORTH.card"]
    assert not (station.root / CONFIG).exists()
    assert not (station.root / STATE).exists()


@pytest.mark.parametrize("settings", WRITTEN[:2])
def test_purge_leaves_a_state_folder_below_the_usual_one(station: Station, settings: str) -> None:
    """A disk that is mounted there is one elsewhere too, with Python and without."""
    elsewhere = station.file(f"{STATE}/disk/logbook/1.book").parents[1]
    configured(station, settings.format(elsewhere))
    assert f"{elsewhere}/logbook" in station.run("postrm", "purge")
    assert station.left(STATE) == ["disk/logbook/1.book", "disk/logbook/NORTH.card"]
    station.program("python3", "exit 127")
    configured(station, settings.format(elsewhere))
    assert str(elsewhere) in station.run("postrm", "purge")
    assert "disk/logbook/1.book" in station.left(STATE)


def test_purge_keeps_the_cards_of_a_disk_that_is_not_there(station: Station) -> None:
    """The log book may be on it: the cards wait in the usual place."""
    configured(station, WRITTEN[0].format("/nowhere/st"))
    said = station.run("postrm", "purge")
    assert "/nowhere/st" in said
    assert f"{station.root}/{STATE}/cards" in said
    assert station.left(STATE) == ["cards/NORTH.card"]


def test_purge_without_python_says_what_the_configuration_says(station: Station) -> None:
    """Nobody is left to read it: its line is shown, and the cards are kept."""
    station.program("python3", "exit 127")
    elsewhere = station.file("srv/st/logbook/1.book").parents[1]
    configured(station, f"[station]\nstate_folder = '{elsewhere}'\n")
    said = station.run("postrm", "purge")
    assert f"state_folder = '{elsewhere}'" in said
    assert f"{station.root}/{STATE}/cards" in said
    assert station.left(STATE) == ["cards/NORTH.card"]
    assert station.left("srv/st") == ["logbook/1.book"]


@pytest.mark.parametrize("folder", ["", f'state_folder = "{{}}/{STATE}"\n'])
def test_purge_without_python_of_a_usual_station(station: Station, folder: str) -> None:
    """Where the configuration does not speak of another folder, nothing needs to be read."""
    station.program("python3", "exit 127")
    configured(station, f"[station]\n{folder.format(station.root)}")
    station.file(f"{STATE}/logbook/1.book")
    assert "could not be read" not in station.run("postrm", "purge")
    assert station.left(STATE) == ["logbook/1.book", "logbook/NORTH.card"]


# --- purged, where the folders are not as usual


def as_hotline(station: Station) -> None:
    """All that `find` looks at here belongs to the gateway's user and group."""
    number = f"case $word in hotline) word={os.getuid()} ;; esac"
    station.program(
        "find",
        f'for word; do shift; {number}; set -- "$@" "$word"; done\nexec /usr/bin/find "$@"',
    )


def station_at(station: Station, folder: str, written: str | None = None) -> None:
    """A station with its state in this folder; the configuration may write it in its own way."""
    station.file(f"{folder}/hotline.sqlite")
    station.file(f"{folder}/logbook/1.book")
    configured(station, WRITTEN[0].format(written or station.root / folder))


@pytest.mark.parametrize(
    "folder", [CONFIG, f"{CONFIG}/state", "run/hotline-gateway", "run/hotline-gateway/state"]
)
def test_purge_keeps_a_log_book_in_a_folder_that_goes(station: Station, folder: str) -> None:
    """The gateway refuses such a folder; an older one did not."""
    station_at(station, folder)
    assert f"{station.root}/{folder}/logbook is left" in station.run("postrm", "purge")
    assert station.left(folder) == ["logbook/1.book", "logbook/NORTH.card"]
    assert not (station.root / CONFIG / "station.key").exists()


def test_purge_leaves_what_is_behind_a_link(station: Station) -> None:
    """A state on another disk stays, root's then, with its cards; both are named."""
    as_hotline(station)
    station_at(station, "srv/big", f"{station.root}/{STATE}")
    (station.root / "var/lib").mkdir(parents=True)
    (station.root / STATE).symlink_to(station.root / "srv/big")
    said = station.run("postrm", "purge")
    assert f"{STATE} is a link to {station.root}/srv/big" in said
    assert station.left("srv/big") == ["hotline.sqlite", "logbook/1.book", "logbook/NORTH.card"]
    owned = [call for call in station.calls if call.startswith("chown -h root:root")]
    assert f"{station.root}/srv/big/logbook/1.book" in owned[0]


@pytest.mark.parametrize("written", ["/{}/" + STATE, "{}/srv/link", "{}/srv/../" + STATE])
def test_purge_knows_the_usual_folder_under_other_names(station: Station, written: str) -> None:
    """It is cleared once, and not said to be left."""
    station_at(station, STATE, written.format(station.root))
    (station.root / "srv").mkdir()
    (station.root / "srv/link").symlink_to(station.root / STATE)
    assert "the state folder of the configuration" not in station.run("postrm", "purge")
    assert station.left(STATE) == ["logbook/1.book", "logbook/NORTH.card"]


def test_purge_of_a_folder_that_is_read_only(station: Station) -> None:
    """The cards go to the usual place, the keys go, and the owner is said."""
    as_hotline(station)
    station.program("chown", "exit 1")
    station.program("cp", f'case "$2" in {station.root}/srv*) exit 1 ;; esac; exec /bin/cp "$@"')
    station_at(station, "srv/st")
    said = station.run("postrm", "purge")
    assert "still has the number of the removed user" in said
    assert f"are in {station.root}/{STATE}/cards" in said
    assert station.left(STATE) == ["cards/NORTH.card"]
    assert not (station.root / CONFIG).exists()


def test_purge_keeps_the_earlier_card_of_a_station(station: Station) -> None:
    """What it signed before its keys were replaced is verified with that one."""
    station_at(station, STATE)
    station.file(f"{CONFIG}/NORTH.card.1", "earlier")
    station.run("postrm", "purge")
    assert station.left(f"{STATE}/logbook") == ["1.book", "NORTH.card", "NORTH.card.1"]


def test_purge_leaves_cards_that_can_be_copied_nowhere(station: Station) -> None:
    """The keys go all the same."""
    station_at(station, STATE)
    station.program("cp", "exit 1")
    said = station.run("postrm", "purge")
    assert f"stay in {station.root}/{CONFIG}" in said
    assert station.left(CONFIG) == ["NORTH.card"]
    assert station.left(STATE) == ["logbook/1.book"]


def test_purge_puts_no_card_in_the_place_of_another(station: Station) -> None:
    """An older one, or that of an earlier station, has its own name; the same one is there once."""
    station_at(station, STATE)
    station.file(f"{CONFIG}/NORTH.card", "new")
    station.file(f"{CONFIG}/old/NORTH.card", "old")
    station.file(f"{CONFIG}/same/NORTH.card", "new")
    station.file(f"{STATE}/logbook/NORTH.card", "first")
    station.run("postrm", "purge")
    book = station.root / STATE / "logbook"
    names = ["1.book", "NORTH.card", "NORTH.card.2", "NORTH.card.3"]
    assert station.left(f"{STATE}/logbook") == names
    cards = [(book / f"NORTH.card{end}").read_text() for end in ("", ".2", ".3")]
    assert cards == ["first", "new", "old"]


def test_purge_keeps_the_cards_of_an_earlier_purge(station: Station) -> None:
    """They verify a log book on a disk that is not there."""
    configured(station, WRITTEN[0].format("/nowhere/st"))
    station.run("postrm", "purge")
    station.run("postrm", "purge")
    assert station.left(STATE) == ["cards/NORTH.card"]


def test_purge_names_an_older_state_above_the_folder(station: Station) -> None:
    """Neither is told apart from the other: both become root's."""
    as_hotline(station)
    station_at(station, STATE)
    station_at(station, f"{STATE}/disk")
    said = station.run("postrm", "purge")
    assert f"{station.root}/{STATE}, the usual state folder, is left" in said
    owned = [call for call in station.calls if call.startswith("chown -h root:root")]
    assert f"{station.root}/{STATE}/hotline.sqlite" in owned[0]


def test_purge_removes_keys_behind_a_link(station: Station) -> None:
    """Where the operator keeps the configuration elsewhere, the keys go from there."""
    configured(station)
    station.file(f"{STATE}/logbook/1.book")
    (station.root / CONFIG).rename(station.root / "conf")
    (station.root / CONFIG).symlink_to(station.root / "conf")
    station.run("postrm", "purge")
    assert not (station.root / "conf").exists()
    assert not (station.root / CONFIG).is_symlink()
    assert station.left(STATE) == ["logbook/1.book", "logbook/NORTH.card"]


def test_purge_takes_no_file_from_others(station: Station) -> None:
    """A folder `logbook` may be somebody else's: only the files of our user change hands."""
    station_at(station, "srv/user")
    station.run("postrm", "purge")
    assert not [it for it in station.calls if it.startswith("chown") and "srv/user" in it]


@pytest.mark.parametrize("folder", ["5", '""', '"state"'])
def test_purge_of_a_state_folder_that_is_no_path(station: Station, folder: str) -> None:
    """The configuration is damaged: nothing of the state is removed."""
    station_at(station, STATE)
    station.file(f"{CONFIG}/hotline.toml", f"[station]\nstate_folder = {folder}\n")
    assert "could not be read" in station.run("postrm", "purge")
    assert station.left(STATE) == ["cards/NORTH.card", "hotline.sqlite", "logbook/1.book"]


# --- owners, and the user itself


def test_the_user_comes_with_the_package_and_goes_with_a_purge(station: Station) -> None:
    """A removal keeps it: what it owns is there."""
    station.run("postinst", "configure", "")
    assert "systemd-sysusers hotline-gateway.conf" in station.calls
    station.program("getent", "exit 0")
    station.run("postrm", "remove")
    assert not [call for call in station.calls if call.startswith("userdel")]
    station.run("postrm", "purge")
    assert "userdel hotline" in station.calls
    assert "groupdel hotline" in station.calls


def test_what_a_purge_leaves_is_closed_to_the_next_user(station: Station) -> None:
    """Who gets our number next reads nothing of ours, here or elsewhere."""
    as_hotline(station)
    station.file(f"{STATE}/logbook/1.book")
    station_at(station, "srv/st")
    station.run("postrm", "purge")
    assert f"chown -R root:root {station.root}/{STATE}" in station.calls
    assert (station.root / STATE).stat().st_mode & 0o777 == 0o700
    owned = [call for call in station.calls if call.startswith("chown -h root:root")]
    assert any(f"{station.root}/srv/st/hotline.sqlite" in call for call in owned)


def test_a_removal_takes_the_devices_from_the_group(station: Station) -> None:
    """Their group's number is that of the next group made."""
    as_hotline(station)
    station.run("postrm", "remove")
    (looked,) = [call for call in station.calls if call.startswith("find")]
    assert looked.startswith(f"find {station.root}/dev -xdev -type c -group hotline")
    assert "-exec chown root:root {} + -exec chmod 0600 {} +" in looked
