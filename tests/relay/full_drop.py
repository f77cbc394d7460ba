"""A relay whose disk fills up while it takes a file, run by test_drop_bounds.py: `full_drop.py FOLDER`.

FOLDER is a small file system of its own. Prints one JSON object with what happened.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from relay.drop_kit import MIB, File
from relay.rest_kit import Person, running_relay

SETTINGS: dict[str, object] = {"drop_quota": 16 * MIB, "min_free_bytes": 0, "reserve_bytes": 0, "log_level": "error"}


def fill(path: Path) -> None:
    """Take what is left, as any other program on the machine may."""
    with path.open("wb", 0) as filler:
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            return


async def main(folder: Path) -> dict[str, object]:
    """Run the relay; return what happened."""
    async with running_relay(folder, **SETTINGS) as relay:
        alice, file = Person(), File(os.urandom(4 * MIB))
        await alice.sign_up(relay)
        token = (await file.open(relay, alice)).json["upload"]
        await file.put(relay, token, 0, file.content[:MIB])
        fill(folder / "filler")
        full = await file.put(relay, token, MIB, file.content[MIB : 2 * MIB])
        (folder / "filler").unlink()
        offset = None
        async with asyncio.timeout(60):
            while offset is None:  # until the relay has noticed that there is room
                again = await file.open(relay, alice)
                offset = again.json.get("offset")
                await asyncio.sleep(0.2)
        await file.upload(relay, alice)
        is_equal = (await file.get(relay)).body == file.content
        mail = (await Person().sign_up(relay)).status
        return {"full": full.code, "offset": offset, "is_equal": is_equal, "mail": mail}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(Path(sys.argv[1])))))  # noqa: T201
