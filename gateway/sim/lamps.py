"""No false "all is well": who can hear nobody says so in time, whatever is played to him."""

from __future__ import annotations

from typing import Final

from gateway.core.effects import AlarmCode
from gateway.core.policy import Policy
from gateway.model import LinkName, Station
from gateway.sim.safety import Blame
from gateway.sim.world import Post, World

LOOK_MS: Final = 20_000
_SLACK_MS: Final = 45_000
_SILENT: Final = (AlarmCode.FAR_GATEWAY_SILENT, AlarmCode.NO_LINK)


class Lamps:
    """Looks at every station from time to time."""

    def __init__(self, world: World, policy: Policy, blame: Blame) -> None:
        self._world = world
        self._policy = policy
        self._blame = blame
        self._reached_at: dict[tuple[Station, Station], int] = {}
        self._was_unplugged: set[LinkName] = set()

    def started(self, post: Post) -> None:
        """A new engine counts the silence from its start."""
        for key in self._reached_at:
            if key[0] == post.station:
                self._reached_at[key] = self._world.now_ms

    def heard(self, post: Post, link: LinkName) -> None:
        """A frame came by a link, and no attacker played it."""
        far = self._world.paths[link].far(post.station)
        self._reached_at[post.station, far] = self._world.now_ms

    def begin(self) -> None:
        self._world.at(self._world.now_ms + LOOK_MS, self._again)

    def _again(self) -> None:
        self.look()
        self.begin()

    def look(self) -> None:
        world = self._world
        for post in world.posts.values():
            for far in world.posts.values():
                if far is not post:
                    self._look_at(post, far)
        unplugged = {name for name, path in world.paths.items() if path.unplugged}
        for post in world.posts.values():
            if post.engine is None or post.status is None:
                continue
            for link in post.status.links:
                if link.device_up and link.name in unplugged & self._was_unplugged:
                    self._blame(f"station {post.station} shows {link.name}, which is unplugged")
        self._was_unplugged = unplugged

    def _look_at(self, post: Post, far: Post) -> None:
        world, key = self._world, (post.station, far.station)
        paths = [path for path in world.paths.values() if set(path.ends) == set(key)]
        if not paths:
            return
        if post.engine is None or key not in self._reached_at:
            self._reached_at[key] = world.now_ms
            return
        has_cable = any(not path.traits.is_radio for path in paths)
        policy = self._policy
        limit = policy.far_silent_serial_ms if has_cable else policy.far_silent_radio_ms
        if has_cable and len(paths) > 1:
            # Unplugged, a cable no longer sets the limit.
            limit = policy.far_silent_radio_ms
        if world.now_ms - self._reached_at[key] < limit + _SLACK_MS or post.status is None:
            return
        if not any(
            alarm.code in _SILENT and alarm.station == far.station for alarm in post.status.alarms
        ):
            silent_s = (world.now_ms - self._reached_at[key]) // 1000
            self._blame(
                f"station {post.station} has not heard {far.station} for {silent_s} s and"
                " lights no alarm"
            )
            self._reached_at[key] = world.now_ms
