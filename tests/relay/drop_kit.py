"""People who keep encrypted files at a relay, over its REST calls."""

import os
from dataclasses import dataclass, field

from halonyx.core.primitives import sha256
from halonyx.wire.rest_files import UPLOAD_HEADER, DropDeleteRequest, DropRequest
from relay.rest_kit import Answer, Person, Relay

MIB = 1024 * 1024
QUOTA = 16 * MIB
SETTINGS: dict[str, object] = {"drop_quota": QUOTA, "rate_drop": "100000/minute", "min_free_bytes": 0}


@dataclass
class File:
    """One encrypted file as its sender holds it."""

    content: bytes = field(default_factory=lambda: os.urandom(MIB))
    drop: bytes = field(default_factory=lambda: os.urandom(16))
    key: bytes = field(default_factory=lambda: os.urandom(16))

    @property
    def path(self) -> str:
        return f"/v1/drop/{self.drop.hex()}"

    async def open(self, relay: Relay, owner: Person, size: int | None = None) -> Answer:
        call = DropRequest(
            address=owner.address,
            device=1,
            drop=self.drop,
            size=len(self.content) if size is None else size,
            delete_hash=sha256(self.key),
        )
        return await relay.call("POST", "/v1/drop", call, owner.device())

    async def put(self, relay: Relay, token: str, offset: int, part: bytes) -> Answer:
        headers = {UPLOAD_HEADER: token, "Content-Type": "application/octet-stream"}
        return await relay.call("PUT", f"{self.path}?offset={offset}", part, headers=headers)

    async def upload(self, relay: Relay, owner: Person, part: int = MIB) -> None:
        opened = await self.open(relay, owner)
        assert opened.status == 200, opened.body
        for at in range(opened.json["offset"], len(self.content), part):
            answer = await self.put(relay, opened.json["upload"], at, self.content[at : at + part])
            assert answer.status == 200, answer.body

    async def get(self, relay: Relay, span: str | None = None) -> Answer:
        return await relay.call("GET", self.path, headers={"Range": span} if span else {})

    async def delete(self, relay: Relay, key: bytes | None = None) -> Answer:
        return await relay.call("POST", "/v1/drop/delete", DropDeleteRequest(drop=self.drop, key=key or self.key))


def files_of(relay: Relay) -> list[str]:
    """Return the names of the files on disk."""
    folder = relay.settings.data / "drop"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
