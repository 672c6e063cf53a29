"""Mutations of zip archives by their members, and of what .npy members say of themselves."""

from __future__ import annotations

import io
import random
import re
import warnings
import zipfile

from fuzz import octets, strings, trees

BOMB_BYTES = 96 << 20


def mutated(rng: random.Random, given: bytes) -> bytes:
    """Return an archive whose members were changed, one was swollen, or whose bytes were."""
    if rng.random() < 0.3:
        return octets.mutated(rng, given)
    with zipfile.ZipFile(io.BytesIO(given)) as archive:
        members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    place = rng.randrange(len(members))
    name, content = members[place]
    change = rng.randrange(10)
    swollen = -1
    if change == 0:
        del members[place]
    elif change == 1:
        members[place] = rng.choice(("../" + name, "/" + name, strings.damaged(rng, name))), content
    elif change == 2:
        members.append(members[place])
    elif change == 3:
        swollen = place
    elif change == 4:
        members = members * 3000 if rng.random() < 0.1 else members[::-1]
    else:
        members[place] = name, _content(rng, name, content)
    written = io.BytesIO()
    way = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with warnings.catch_warnings(), zipfile.ZipFile(written, "w", way) as archive:
        warnings.simplefilter("ignore")  # names that are there twice
        for number, (name, content) in enumerate(members):
            name = name.replace("\x00", "")[:60_000] or "x"
            if number == swollen:
                padded = content + bytes(rng.choice((BOMB_BYTES, 1 << 20)))
                archive.writestr(name, padded, zipfile.ZIP_DEFLATED, 9)
            else:
                archive.writestr(name, content)
    data = written.getvalue()
    return octets.mutated(rng, data) if rng.random() < 0.1 else data


def _content(rng: random.Random, name: str, content: bytes) -> bytes:
    if name.endswith(".json") and rng.random() < 0.9:
        return trees.json_text(rng, content.decode()).encode("utf-8", "replace")
    if name.endswith(".npy") and rng.random() < 0.6:
        return npy(rng, content)
    return octets.mutated(rng, content)


def npy(rng: random.Random, content: bytes) -> bytes:
    """Return a .npy file with another header of the same length."""
    length = 10 + int.from_bytes(content[8:10], "little")
    header = content[10:length].decode("latin-1")
    change = rng.randrange(4)
    if change == 0:
        sizes = "9" * rng.choice((1, 4, 9, 20, 400)), "0", "-1", "1.5", "10**9", "(" * 80
        header = re.sub(r"\d+(?=[,)])", lambda _: rng.choice(sizes), header, count=1)
    elif change == 1:
        kinds = "|O", "<f8", "<c16", "|S0", "|V4", ">M8[s]", "<U1000000", "bad", "", "[('a','<f4')]"
        header = re.sub(r"'descr': '[^']*'", f"'descr': '{rng.choice(kinds)}'", header)
    elif change == 2:
        header = header.replace("False", rng.choice(("True", "None", "5")))
    else:
        header = strings.damaged(rng, header)
    header = header.rstrip(" \n").ljust(length - 11) + "\n"
    told = len(header.encode("latin-1", "replace")) % 65536
    front = content[:8] + told.to_bytes(2, "little")
    return front + header.encode("latin-1", "replace") + content[length:]
