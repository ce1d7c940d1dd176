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
