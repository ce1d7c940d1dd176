"""What a Mosquitto keeps depends on which files it reads, and on where it may write."""

from __future__ import annotations

import os
from importlib import resources
from pathlib import Path

import pytest

from gateway.doctor.finding import NOTHING_TO_DO, Finding, Mark
from gateway.doctor.mosquitto import examine_mosquitto
from gateway.queues.mqtt_socket import Broker
from tests.unit.test_doctor_findings import Pretend

OK, LOOK, FAULT = Mark.OK, Mark.LOOK, Mark.FAULT
SHIPPED = (resources.files("gateway.queues.mosquitto") / "hotline.conf").read_text()
MAIN = "/etc/mosquitto/mosquitto.conf"
PARTS = "/etc/mosquitto/conf.d"
FOLDER = "/srv/kept"
LOCATION = f"persistence_location {FOLDER}/\n"
STRANGER = os.getuid() + 12_345


@pytest.fixture
def pretend(tmp_path: Path) -> Pretend:
    """One Mosquitto, of a user who owns nothing there; it was started in /."""
    pretend = Pretend(tmp_path).process(7, "mosquitto").link("/proc/7/cwd", "/")
    pretend.file("/proc/7/cmdline", f"mosquitto\0-c\0{MAIN}\0")
    ids = "\t".join([str(STRANGER)] * 4)
    pretend.file("/proc/7/status", f"Name:\tmosquitto\nUid:\t{ids}\nGid:\t{ids}\nGroups:\t")
    for folder in (FOLDER, PARTS):
        pretend.file(f"{folder}/README")
    for path in (tmp_path, tmp_path / "srv"):
        path.chmod(0o755)
    (tmp_path / FOLDER[1:]).chmod(0o777)
    return pretend


def judged(pretend: Pretend) -> Finding:
    """The only finding."""
    broker = Broker.parse("mqtt://localhost:1883")
    [finding] = examine_mosquitto(pretend.machine, broker, is_near=True)
    assert (finding.remedy == NOTHING_TO_DO) == (finding.mark is OK)
    return finding


def check(pretend: Pretend, mark: Mark, words: str) -> None:
    found = judged(pretend)
    assert found.mark is mark
    assert words in found.text


def test_where_it_writes(pretend: Pretend) -> None:
    """A folder of its own that it may write to, on a disk; else what it acknowledges gets lost."""
    pretend.file(MAIN, LOCATION + SHIPPED)
    check(pretend, OK, "it writes down each change")
    kept = pretend.root / FOLDER[1:]
    kept.chmod(0o775)
    check(pretend, FAULT, f"user {STRANGER} may not write there: a restart of the broker forgets")
    assert f"install -d -o {STRANGER} {FOLDER}," in judged(pretend).remedy
    kept.chmod(0o777)
    kept.parent.chmod(0o754)
    check(pretend, FAULT, "may not go through /srv")
    kept.parent.chmod(0o755)
    pretend.file("/proc/mounts", "a / ext4 rw 0 0\nb /srv tmpfs rw 0 0\nc /srv/ke ext4 rw 0 0\n")
    check(pretend, LOOK, "that is in memory (tmpfs)")
    pretend.file("/proc/7/mounts", "a / ext4 rw 0 0\nb /srv/kept ext4 ro,noatime 0 0\n")
    check(pretend, FAULT, "mounted read-only")
    pretend.file("/proc/7/mounts", "a / ext4 rw,noatime 0 0\n")
    check(pretend, OK, "it writes down each change")
    pretend.file(MAIN, LOCATION + SHIPPED + "persistence_file other/m.db\n")
    check(pretend, FAULT, "/srv/kept/other cannot be opened (No such file or directory)")


def test_without_a_location(pretend: Pretend) -> None:
    """It writes where it was started, if it can."""
    pretend.file(MAIN, SHIPPED)
    check(pretend, FAULT, f"it writes into /, where it was started: user {STRANGER} may not write")
    assert "set persistence_location" in judged(pretend).remedy
    pretend.root.chmod(0o777)
    check(pretend, LOOK, "started elsewhere it has forgotten")
    (pretend.root / "proc/7/cwd").unlink()
    check(pretend, LOOK, "was started in, which cannot be seen")
    assert "run this as root" in judged(pretend).remedy


def test_included_files_in_the_order_of_the_broker(pretend: Pretend) -> None:
    """Without case; what an included file includes does not count."""
    pretend.file(MAIN, f"{LOCATION}include_dir {PARTS}")
    pretend.file(f"{PARTS}/a.conf", f"{SHIPPED}include_dir /etc/mosquitto/more")
    pretend.file("/etc/mosquitto/more/a.conf", "persistence false")
    pretend.file(f"{PARTS}/.conf", "persistence false")
    check(pretend, OK, "it writes down each change")
    pretend.file(f"{PARTS}/B.conf", "persistence false")
    check(pretend, FAULT, "persistence is false")
    pretend.file(f"{PARTS}/C.conf", "persistence true").file(f"{PARTS}/c.conf", "persistence false")
    check(pretend, FAULT, "persistence is false")


def test_what_cannot_be_read(pretend: Pretend) -> None:
    """It may say anything."""
    pretend.file(MAIN, f"{LOCATION}{SHIPPED}include_dir {PARTS}")
    check(pretend, OK, "it writes down each change")
    pretend.link(f"{PARTS}/secret.conf", "/nowhere/to/be/found")
    check(pretend, LOOK, f"{PARTS}/secret.conf cannot be read")
    assert "run this as root" in judged(pretend).remedy
    pretend.file(MAIN, f"{LOCATION}{SHIPPED}include_dir /etc/hidden")
    check(pretend, LOOK, "/etc/hidden cannot be read")
