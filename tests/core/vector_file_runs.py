"""What each operation of the files vectors means for our code."""

from halonyx.core import chunked
from halonyx.core.chunked import HEADER_SIZE, SALT_SIZE, Decryptor, Encryptor
from halonyx.core.container import Manifest, Unpacker
from halonyx.core.file_names import check_component, safe_name, safe_paths
from halonyx.core.file_offer import FileOffer, FileState
from halonyx.core.kdf import drop_deletion_key, drop_id, kdf_chunked, tracker_token
from halonyx.core.labels import FILE_CONTENT
from halonyx.core.primitives import sha256
from halonyx.core.types import FileKey
from vectors import Fields, Runner

Output = dict[str, object]
PART_SIZES = (1_000_000, 16_400, 16_385, 7_001)  # a stream gives the same however it is cut


def _runs(given: Fields, name: str) -> bytes:
    return b"".join(run.hex("bytes") * run.number("times") for run in given.all_inside(name))


def _parts(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def _values(key: bytes, salt: bytes, context: bytes) -> Output:
    aead_key, base_nonce, commitment = kdf_chunked(key, salt, context)
    return {"aead_key": aead_key, "base_nonce": base_nonce, "commitment": commitment}


def file_secrets(given: Fields) -> Output:
    key = FileKey(given.hex("key"))
    secrets = {"tracker_token": tracker_token(key), "drop_id": drop_id(key)}
    return {**secrets, "drop_deletion_key": drop_deletion_key(key)}


def chunked_encrypt(given: Fields) -> Output:
    key, salt, plaintext = given.hex("key"), given.hex("salt"), _runs(given, "plaintext")
    results = set()
    for size in PART_SIZES:
        encryptor = Encryptor(key, salt)
        parts = [encryptor.update(part) for part in _parts(plaintext, size)]
        results.add(encryptor.header + b"".join(parts) + encryptor.finish())
    (ciphertext,) = results
    return {
        **_values(key, salt, FILE_CONTENT),
        "header": ciphertext[:HEADER_SIZE],
        "ciphertext_size": len(ciphertext),
        "ciphertext_hash": sha256(ciphertext),
    }


def _decrypt(key: bytes, context: bytes, ciphertext: bytes, size: int) -> bytes:
    decryptor = Decryptor(key, ciphertext[:HEADER_SIZE], context)
    parts = [decryptor.update(part) for part in _parts(ciphertext[HEADER_SIZE:], size)]
    return b"".join(parts) + decryptor.finish()


def chunked_decrypt(given: Fields) -> Output:
    key, context, ciphertext = given.hex("key"), given.hex("context"), _runs(given, "ciphertext")
    (plaintext,) = {_decrypt(key, context, ciphertext, size) for size in PART_SIZES}
    assert chunked.plaintext_size(len(ciphertext)) == len(plaintext)
    result = {"plaintext_size": len(plaintext), "plaintext_hash": sha256(plaintext)}
    return {**_values(key, ciphertext[:SALT_SIZE], context), **result}


def manifest_parse(given: Fields) -> Output:
    data = given.hex("manifest")
    manifest = Manifest.parse(data)
    assert manifest.encode() == data
    return {
        "entries": [{"path": entry.path, "size": entry.size} for entry in manifest.entries],
        "content_size": manifest.content_size,
        "unpadded_size": manifest.unpadded_size,
        "padded_size": manifest.padded_size,
        "ciphertext_size": chunked.ciphertext_size(manifest.padded_size),
    }


def _unpack(container: bytes, declared: int, size: int) -> list[tuple[str, bytes]]:
    checked: list[Manifest] = []
    unpacker = Unpacker(declared, checked.append)
    contents: dict[int, bytes] = {}
    for part in _parts(container, size):
        for index, content in unpacker.update(part):
            contents[index] = contents.get(index, b"") + content
    manifest = unpacker.finish()
    assert checked == [manifest]
    return [(entry.path, contents.get(index, b"")) for index, entry in enumerate(manifest.entries)]


def container_open(given: Fields) -> Output:
    container = _runs(given, "container")
    first, *others = [_unpack(container, len(container), size) for size in PART_SIZES]
    assert all(other == first for other in others)
    files = [{"path": path, "hash": sha256(content)} for path, content in first]
    return {"size": len(container), "files": files}


def offer_parse(given: Fields) -> Output:
    body = given.hex("body")
    offer = FileOffer.parse(body)
    assert offer.encode() == body
    return {
        "is_folder": offer.is_folder,
        "in_drop": offer.in_drop,
        "key": offer.key,
        "size": offer.size,
        "count": offer.count,
        "ciphertext_size": offer.ciphertext_size,
        "ciphertext_hash": offer.ciphertext_hash,
        "info_hash": offer.info_hash,
        "origin": offer.origin,
        "name": offer.name,
        "media_type": offer.media_type,
        "thumbnail": offer.thumbnail,
    }


def file_state_parse(given: Fields) -> Output:
    body = given.hex("body")
    said = FileState.parse(body)
    assert said.encode() == body
    return {"offer": said.offer, "state": int(said.state), "reason": int(said.reason)}


def names_to_save(given: Fields) -> Output:
    names = [safe_name(name) for name in given.texts("names")]
    assert [safe_name(check_component(name)) for name in names] == names
    return {"names": names}


def paths_to_save(given: Fields) -> Output:
    return {"paths": safe_paths(given.texts("paths"))}


FILE_RUNS: dict[str, Runner] = {
    "file_secrets": file_secrets,
    "chunked_encrypt": chunked_encrypt,
    "chunked_decrypt": chunked_decrypt,
    "manifest_parse": manifest_parse,
    "container_open": container_open,
    "offer_parse": offer_parse,
    "file_state_parse": file_state_parse,
    "safe_names": names_to_save,
    "safe_paths": paths_to_save,
}
