"""Users of the API whom the kernel would show as nobody."""

from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from gateway.api.peer import refuse_unmapped_users
from gateway.errors import ConfigError

ROOT_NAME = pwd.getpwuid(0).pw_name
OTHER = next(entry for entry in pwd.getpwall() if entry.pw_uid > 0)


def test_a_user_outside_the_namespace_is_refused(tmp_path: Path) -> None:
    """The unit's own map: root and one more. Who is not in it would have no rights, unseen."""
    id_map = tmp_path / "uid_map"
    id_map.write_text("         0          0          1\n   999999     999999          1\n")
    refuse_unmapped_users([ROOT_NAME, "nobody-of-this-name"], id_map)
    with pytest.raises(ConfigError, match=r"named-users\.conf") as caught:
        refuse_unmapped_users([ROOT_NAME, OTHER.pw_name], id_map)
    assert [problem.split(":")[0] for problem in caught.value.problems] == [
        f"[[api.user]] {OTHER.pw_name}"
    ]


def test_outside_a_namespace_everyone_is_known(tmp_path: Path) -> None:
    """The map of a machine's first namespace holds all, and a kernel without them has none."""
    id_map = tmp_path / "uid_map"
    refuse_unmapped_users([OTHER.pw_name], id_map)
    id_map.write_text("         0          0 4294967295\n")
    refuse_unmapped_users([OTHER.pw_name], id_map)
