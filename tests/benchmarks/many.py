"""Output folders of any size: one record, written again and again with another N."""

import json
import os
from dataclasses import replace

from sweep.paths import OutputPaths


def write_many(root, result, count, attempts=1):
    """Write `count` trials, of N = 1, 2, ..., into an output folder; all but N and digests is that of `result`.

    All attempts at a trial are one file, found in as many folders.
    """
    outputs = OutputPaths(root)
    text = json.dumps(result.to_json(), indent=2, sort_keys=True)
    old = {"samples_per_query": result.spec.samples_per_query, "engine_batch": result.spec.engine_batch}
    outputs.trials.mkdir(parents=True)
    for n in range(1, count + 1):
        spec = replace(result.spec, samples_per_query=n, engine_batch=n)
        digest = spec.digest
        trial = outputs.trial(spec.slug, digest, result.environment_digest)
        trial.mkdir()
        folder = outputs.attempt(trial, 1).directory
        folder.mkdir()
        own = text.replace(result.spec_digest, digest)
        for key, value in old.items():
            own = own.replace(f'"{key}": {value},', f'"{key}": {n},')
        (folder / "result.json").write_text(own)
        for number in range(2, attempts + 1):
            another = outputs.attempt(trial, number).directory
            another.mkdir()
            os.link(folder / "result.json", another / "result.json")
