"""How a result and progress are printed, and how the host reads a result back."""

import hashlib
import json

BEGIN, END = "edgeshrink-result", "edgeshrink-end"


class JobError(Exception):
    """The job cannot be done, for a reason that is told in the result."""


def print_result(job, result):
    """Print a result between two marks.

    The marks carry the job's id, and the length and SHA-256 of the JSON between them, so that
    half an answer is seen to be half.
    """
    body = json.dumps(dict(result, id=job["id"]))
    digest = hashlib.sha256(body.encode()).hexdigest()
    print(BEGIN, job["id"], len(body), digest)
    print(body)
    print(END, job["id"], flush=True)


def read_result(text, job_id):
    """Return the result with this id in a runner's output, or None if it is not there whole."""
    lines = text.splitlines()
    for number, line in enumerate(lines[:-2]):
        parts = line.split(" ")
        if len(parts) != 4 or parts[:2] != [BEGIN, job_id]:
            continue
        body, end = lines[number + 1], lines[number + 2]
        whole = (
            end == END + " " + job_id
            and str(len(body)) == parts[2]
            and hashlib.sha256(body.encode()).hexdigest() == parts[3]
        )
        return _mapping(body) if whole else None
    return None


def _mapping(body):
    """Return a JSON object, or None for what is none: NaN and Infinity are no JSON."""

    def refuse(word):
        raise ValueError(word)

    try:
        found = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def progress(share, note):
    """Print how much is done."""
    print("progress %.3f %s" % (min(1.0, share), note), flush=True)


def sha256(path):
    """Return the SHA-256 of a file in hex."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def first_line(error):
    """Return an exception as one line; the runtime's own span several."""
    return " ".join(str(error).split()) or type(error).__name__
