"""The unit files say what the daemon needs, and systemd reads them without a word."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.config.settings import StationSettings

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd/hotline-gateway.service"
EXPOSURE_MAX = 2.0


def service() -> dict[str, str]:
    """Give the last value of each key of [Service]."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the module's documented way
    parser.read(UNIT)
    return dict(parser["Service"])


def test_a_wrong_configuration_is_not_started_again_and_all_else_is() -> None:
    """Exit code 78 waits for a person; any other end is followed by a start, for ever."""
    assert service()["RestartPreventExitStatus"] == "78"
    assert service()["Restart"] == "always"
    assert "StartLimitIntervalSec=0" in UNIT.read_text()


def test_folders_of_the_unit_are_the_defaults_of_the_configuration() -> None:
    """An installed gateway needs no paths in its configuration."""
    station = StationSettings(name="NORTH")
    assert str(station.state_folder) == "/var/lib/" + service()["StateDirectory"]
    assert str(station.runtime_folder) == "/run/" + service()["RuntimeDirectory"]


def test_the_user_of_the_unit_is_made_with_its_groups() -> None:
    """Sysusers makes the user and both groups that the devices belong to."""
    lines = (ROOT / "systemd/hotline-gateway.sysusers").read_text().splitlines()
    user = service()["User"]
    assert any(line.startswith(f"u {user} ") for line in lines)
    for group in service()["SupplementaryGroups"].split():
        assert f"m {user} {group}" in lines


def test_the_clock_can_be_asked() -> None:
    """Without adjtimex no DTG would ever be trusted; the line that allows it must be the last."""
    filters = re.findall(r"^SystemCallFilter=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert filters[-1] == "adjtimex clock_adjtime"
    assert "ProtectClock" not in service()


def test_users_of_the_socket_keep_their_names() -> None:
    """In a user namespace SO_PEERCRED says nobody for all of [[api.user]]: no rights left."""
    assert not {"PrivateUsers", "DynamicUser"} & service().keys()


def test_the_folder_of_keys_belongs_to_the_service() -> None:
    """As root `hotline key` gives files to the folder's owner, who must be the unit's user."""
    lines = (ROOT / "systemd/hotline-gateway.tmpfiles").read_text().splitlines()
    (line,) = [line for line in lines if line and not line.startswith("#")]
    kind, folder, mode, user, group, _age = line.split()
    assert (kind, Path(folder)) == ("d", StationSettings(name="NORTH").key_file.parent)
    assert (mode, user, group) == ("0750", service()["User"], service()["Group"])
    assert service()["ProtectSystem"] == "strict"


def test_systemd_has_no_complaint_and_little_exposure(tmp_path: Path) -> None:
    """`systemd-analyze verify` is silent; the exposure is that of well-kept services."""
    if not (tool := shutil.which("systemd-analyze")):
        pytest.skip("systemd-analyze is not installed")
    copy = tmp_path / UNIT.name
    copy.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text()))
    verified = subprocess.run(
        [tool, "verify", str(copy)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")
    rated = subprocess.run(
        [tool, "security", "--offline=true", "--no-pager", str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    level = re.search(r"exposure level for \S+ ([0-9.]+)", rated.stdout)
    assert level is not None, rated.stdout + rated.stderr
    assert float(level[1]) <= EXPOSURE_MAX
