"""Ask torch what every sample gives, and keep the answers: `python -m tests.goldens.record`.

One flat array of float64 numbers and one JSON text that says what they are, in goldens.npz. Results in float32 and
float16 are rarely kept: inputs are exact in float16, so the float64 result is right for every floating type.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from tests import programs, samples
from tests.goldens import measure, promotion

FILE = Path(__file__).with_name("goldens.npz")
DERIVED = ("float32", "float16")


def derived(case, answers):
    """Whether the numbers of a case are those of the float64 case, rounded: random draws are not."""
    exact = answers.get("float64", {})
    if case not in DERIVED or exact.get("values") is None:
        return False
    with np.errstate(all="ignore"):
        return all(np.allclose(a, np.asarray(b).astype(a.dtype), 0.02, 0.02, equal_nan=True)
                   for a, b in zip(answers[case]["values"], exact["values"]))


def pack(recorded):
    """{key: (fingerprint, {case: answer})} -> (text, numbers)."""
    numbers, entries = [], {}
    for key, (stamp, answers) in recorded.items():
        entry = entries[key] = {"stamp": stamp, "cases": {}}
        for case, answer in answers.items():
            if "error" in answer:
                entry["cases"][case] = [answer["error"], answer["message"]]
                continue
            grads = {n: None if g is None else list(g.shape) for n, g in answer["grads"].items()}
            entry["cases"][case] = {"outputs": answer["outputs"], "grads": grads}
            if derived(case, answers):
                entry["cases"][case]["derived"] = 1
            else:
                numbers += [np.asarray(a, np.float64).reshape(-1)
                            for a in (*answer["values"], *answer["grads"].values()) if a is not None]
    return json.dumps(entries, separators=(",", ":")), np.concatenate(numbers) if numbers else np.zeros(0)


def unpack(text, numbers):
    """The inverse of `pack`."""
    place, recorded = 0, {}

    def take(shape):
        nonlocal place
        count = int(np.prod(shape))
        place += count
        return numbers[place - count:place].reshape(shape)

    for key, entry in json.loads(text).items():
        answers = {}
        for case, packed in entry["cases"].items():
            if isinstance(packed, list):
                answers[case] = {"error": packed[0], "message": packed[1]}
                continue
            answer = answers[case] = {"outputs": packed["outputs"], "values": None, "grads": {}}
            if "derived" not in packed:
                answer["values"] = [np.zeros(0) if shape is None else take(shape) for _, shape, _ in packed["outputs"]]
                answer["grads"] = {n: None if shape is None else take(shape) for n, shape in packed["grads"].items()}
        recorded[key] = entry["stamp"], answers
    return recorded


def record(table=None):
    """torch's answers to all samples, in memory."""
    import torch
    torch.set_num_threads(1)
    return {s.key: (measure.fingerprint(s), measure.measure(torch, s))
            for s in (samples.load() if table is None else table)}


def read():
    """The answers on file; nothing if there is no file."""
    if not FILE.exists():
        return {}
    with np.load(FILE) as archive:
        return unpack(archive["text"].tobytes().decode(), archive["numbers"])


def read_promotion():
    """The table of types on file."""
    with np.load(FILE) as archive:
        return promotion.unpack(json.loads(archive["types"].tobytes().decode()))


def read_programs():
    """What torch's programs said."""
    with np.load(FILE) as archive:
        return json.loads(archive["programs"].tobytes().decode())


def main():
    recorded = record()
    text, numbers = pack(recorded)
    import torch
    types = json.dumps(promotion.pack(promotion.table(torch, (*promotion.DTYPES, "bfloat16"))), separators=(",", ":"))
    said = json.dumps(programs.outcomes(torch), separators=(",", ":"))
    texts = {"text": text, "types": types, "programs": said}
    np.savez_compressed(FILE, numbers=numbers, **{k: np.frombuffer(t.encode(), np.uint8) for k, t in texts.items()})
    refused = [key for key, (_, answers) in recorded.items() if all("error" in answer for answer in answers.values())]
    for key in refused:
        print("torch refuses", key, "--", next(iter(recorded[key][1].values()))["message"], file=sys.stderr)
    print(f"{len(recorded)} samples, {FILE.stat().st_size / 1024:.0f} KiB in {FILE}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main())
