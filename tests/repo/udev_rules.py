"""What a file of udev rules makes of a device: the part of udev(7) that ours use."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = "70-hotline-gateway.rules"
BRLTTY = "99-hotline-gateway.rules"
_PART = re.compile(r'([A-Z]+)(?:\{([A-Za-z_.]+)\})?(==|!=|:=|\+=|=)"([^"]*)"')


@dataclass
class Device:
    """An event of a device, and what the rules have given it so far."""

    subsystem: str
    kernel: str = ""
    action: str = "add"
    env: dict[str, str] = field(default_factory=dict)
    attr: dict[str, str] = field(default_factory=dict)
    links: list[str] = field(default_factory=list)
    group: str = "root"
    mode: str = "0600"

    def judged(self, name: str) -> Device:
        """After the rules of a file."""
        lines = (ROOT / "systemd" / name).read_text().splitlines()
        rules = [_PART.findall(line) for line in lines if line and not line.startswith("#")]
        until = ""
        for rule in rules:
            labels = [value for key, _, _, value in rule if key == "LABEL"]
            if until and until not in labels:
                continue
            until = ""
            if all(self._matches(*part) for part in rule if part[2] in ("==", "!=")):
                until = next((value for key, _, _, value in rule if key == "GOTO"), "")
                for part in rule:
                    if part[0] not in ("GOTO", "LABEL") and part[2] not in ("==", "!="):
                        self._assign(*part)
        return self

    def _matches(self, key: str, name: str, operation: str, value: str) -> bool:
        own = {
            "ACTION": self.action,
            "SUBSYSTEM": self.subsystem,
            "KERNEL": self.kernel,
            "ENV": self.env.get(name, ""),
            "ATTR": self.attr.get(name, ""),
        }[key]
        found = any(fnmatchcase(own, pattern) for pattern in value.split("|"))
        return found == (operation == "==")

    def _assign(self, key: str, name: str, operation: str, value: str) -> None:
        value = re.sub(r"\$env\{([A-Za-z_.]+)\}", lambda it: self.env.get(it[1], ""), value)
        match key, operation:
            case "ENV", "=":
                self.env[name] = value
            case "GROUP", ":=":
                self.group = value
            case "MODE", ":=":
                self.mode = value
            case "SYMLINK", "+=":
                self.links.append(value)
            case _:
                raise AssertionError(f"{key}{operation} is not known here")
