"""Entries of CK, made from the example that its own writer has written: as folders and as zips."""

import copy
import json
import zipfile
from pathlib import Path

DATA = Path(__file__).parents[1] / "data"
EXAMPLE = DATA / "ck" / "ck_entries_example.zip"
LOGS = DATA / "loadgen_logs"
PERFORMANCE = "mlperf.closed.image-classification.xavier.tensorrt.resnet50.multistream.performance"
ACCURACY = "mlperf.closed.image-classification.xavier.tensorrt.resnet50.multistream.accuracy"


def example_files():
    """Return the files of the example by path: two entries and the notes of their repository."""
    with zipfile.ZipFile(EXAMPLE) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def example_point(name):
    """Return the point of one of the two entries."""
    path = next(path for path in example_files() if path.startswith(f"{name}/ckp-") and path.endswith(".0001.json"))
    return json.loads(example_files()[path])


class Entry:
    """An entry that is being written.

    Args:
        name: Its folder.
        of: Which example it begins as.
    """

    def __init__(self, name=PERFORMANCE, of=PERFORMANCE):
        self.name = name
        self.pipeline = json.loads(example_files()[f"{of}/pipeline.json"])
        self.points = {"09bee4642a11bd29.0001": example_point(of)}
        self.others = {".cm/meta.json": b'{"points": "1"}'}

    @property
    def point(self):
        """Its first point."""
        return next(iter(self.points.values()))

    @property
    def run(self):
        """The first run of that."""
        return self.point["characteristics_list"][0]["run"]

    @property
    def env(self):
        """What its program was told."""
        return self.point["choices"]["env"]

    def replace(self, *pairs):
        """Change LoadGen's summary, and what CK extracted from it."""
        text = "".join(self.run["mlperf_log"]["summary"])
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        return self.summary(text)

    def summary(self, text, parsed=None):
        """Give its run another summary, without a detail log, and what CK extracts from that."""
        lines = text.splitlines(keepends=True)
        pairs = (line.strip().split(": ", 1) for line in lines)
        known = {pair[0].strip(): pair[1].strip() for pair in pairs if len(pair) == 2}
        self.run["mlperf_log"] |= {"summary": lines, "detail": []}
        self.run["parsed_summary"] = known if parsed is None else parsed
        return self

    def again(self, uid):
        """Add a copy of its first point."""
        self.points[uid] = copy.deepcopy(self.point)
        return self.points[uid]

    def files(self):
        """Return its files by path."""
        own = {f"ckp-{uid}.json": json.dumps(point, indent=2).encode() for uid, point in self.points.items()}
        pipeline = {} if self.pipeline is None else {"pipeline.json": json.dumps(self.pipeline).encode()}
        return {f"{self.name}/{path}": data for path, data in {**own, **pipeline, **self.others}.items()}


def write_folder(folder, files):
    """Write files into a folder and return it."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def write_zip(path, files):
    """Write files into a zip as Python does it, and return it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


GNMT = "mlperf.closed.machine-translation.velociti.tensorrt.gnmt.server.performance"
MLPERF_CONF = """\
# The format is 'key = value'
*.*.qsl_rng_seed = 3133965575612453542

*.Server.target_latency = 10
*.Server.target_latency_percentile = 99
gnmt.*.performance_sample_count_override = 3903900
gnmt.Server.target_latency = 250
gnmt.Server.target_latency_percentile = 97
"""


def gnmt(mlperf_conf=MLPERF_CONF, user_conf="*.Server.target_qps = 1575\n"):
    """Return a run of GNMT whose p97 is within its bound, and whose p99 is not, as most of v0.5 were."""
    text = (LOGS / "v0.5_server_valid_summary.txt").read_bytes().decode()
    for old, new in (
        ("target_latency (ns): 15000000", "target_latency (ns): 250000000"),
        ("97.00 percentile latency (ns)   : 9059141", "97.00 percentile latency (ns)   : 222674220"),
        ("99.00 percentile latency (ns)   : 10159013", "99.00 percentile latency (ns)   : 261865045"),
        ("99.90 percentile latency (ns)   : 12561017", "99.90 percentile latency (ns)   : 503810996"),
        ("Max latency (ns)                : 20699844", "Max latency (ns)                : 585695346"),
    ):
        assert old in text, old
        text = text.replace(old, new)
    entry = Entry(GNMT).summary(text)
    entry.env.pop("CK_LOADGEN_SCENARIO")
    entry.run["mlperf_conf"] = {
        "mlperf.conf": mlperf_conf.splitlines(keepends=True),
        "user.conf": user_conf.splitlines(keepends=True),
    }
    return entry


DETECTION = "mlperf.open.object-detection.velociti.tensorrt.ssd-mobilenet.multistream.accuracy"


def detection(**score):
    """Return a test of accuracy of an object detector, with what its score is said to be."""
    entry = Entry(DETECTION, ACCURACY)
    for name in ("accuracy", "good", "total"):
        del entry.run[name]
    entry.env["CK_LOADGEN_DATASET_SIZE"] = "5000"
    entry.run.update(score)
    return entry
