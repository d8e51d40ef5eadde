"""Preparing images: what a sample is, and that nothing that can happen on the way makes a wrong store."""

import fcntl
import json
import os
import signal
import struct
import subprocess
import sys
import textwrap
import time

import numpy as np
import psutil
import pytest

from sweep.datasets import DatasetConfig, default_store, open_dataset
from sweep.datasets.imagenet_images import CorruptImageError, read_samples
from sweep.datasets.imagenet_prepare import prepare_imagenet
from sweep.errors import ConfigError, MissingDependencyError, SweepError
from sweep.models.base import TensorSpec

cv2 = pytest.importorskip("cv2", reason="preparing images needs OpenCV")

SIDE = 32


def inputs(side=SIDE):
    return (TensorSpec("input", "uint8", (side, side, 3)),)


def prepare(images, labels, out, **options):
    return prepare_imagenet(images, labels, out, **{"workers": 1, "side": SIDE, **options})


def read(out, **options):
    """All samples and labels of a store."""
    dataset = open_dataset(DatasetConfig("imagenet", str(out), **options), inputs(), out)
    samples = np.empty((dataset.count, SIDE, SIDE, 3), dtype=np.uint8)
    dataset.read_into(range(dataset.count), {"input": samples})
    return samples, dataset.labels


def one(path, name="area", side=SIDE):
    return read_samples(path, [name], side)[name]


def jpeg(path, pixels):
    assert cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, 100])
    return path


def gradient(height, width):
    row = np.linspace(0, 250, width, dtype=np.uint8)
    return np.repeat(np.repeat(row[None, :, None], height, 0), 3, 2)


# --- what a sample is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(300, 500), (500, 300), (256, 256), (100, 70), (999, 333)])
@pytest.mark.parametrize(("name", "method"), [("area", cv2.INTER_AREA), ("linear", cv2.INTER_LINEAR)])
def test_a_sample_is_what_the_reference_makes(tmp_path, height, width, name, method):
    """Accuracy is compared with the reference's: a pixel's shift costs tenths of a percent."""
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path = tmp_path / "image.png"
    cv2.imwrite(str(path), pixels)
    # 224 / 0.875 = 256 for the short side, then the middle 224 x 224.
    new = (256, int(256 * height / width)) if height > width else (int(256 * width / height), 256)
    resized = cv2.resize(pixels[:, :, ::-1].copy(), new, interpolation=method)
    top, left = int((new[1] - 224) / 2), int((new[0] - 224) / 2)
    assert np.array_equal(one(path, name, 224), resized[top : top + 224, left : left + 224])


def test_channels_are_red_green_blue(tmp_path):
    pixels = np.zeros((50, 50, 3), dtype=np.uint8)
    pixels[:, :, 2] = 255  # OpenCV's order is blue, green, red
    red, green, blue = one(jpeg(tmp_path / "red.jpg", pixels)).reshape(-1, 3).mean(axis=0)
    assert red > 250
    assert max(green, blue) < 5


def test_a_gray_image_has_three_equal_channels(tmp_path):
    """There are gray images among the validation images."""
    sample = one(jpeg(tmp_path / "gray.jpg", gradient(50, 80)[:, :, 0]))
    assert sample.shape == (SIDE, SIDE, 3)
    assert np.array_equal(sample[:, :, 0], sample[:, :, 2])
    assert sample.std() > 10


def cmyk_jpeg(dc):
    """A flat 8x8 baseline JPEG of four components; `dc` is each one's offset from mid-gray, 0 or 8 * 63."""

    def segment(marker, data):
        return bytes((0xFF, marker)) + struct.pack(">H", len(data) + 2) + data

    four_bit_codes = bytes((0, 0, 0, 12, *(0,) * 12)) + bytes(range(12))  # category c has the code c
    end_of_block = bytes((1, *(0,) * 15)) + b"\0"
    bits = ""
    for value in dc:
        category = value.bit_length()
        bits += f"{category:04b}" + (f"{value:b}" if value else "") + "0"
    bits += "1" * (-len(bits) % 8)
    scan = b"".join(
        bytes((byte,)) + (b"\0" if byte == 0xFF else b"") for byte in int(bits, 2).to_bytes(len(bits) // 8, "big")
    )
    return (
        b"\xff\xd8"
        + segment(0xEE, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, 0))
        + segment(0xDB, b"\0" + b"\x01" * 64)
        + segment(0xC0, struct.pack(">BHHB", 8, 8, 8, 4) + b"".join(bytes((c, 0x11, 0)) for c in range(1, 5)))
        + segment(0xC4, b"\x00" + four_bit_codes)
        + segment(0xC4, b"\x10" + end_of_block)
        + segment(0xDA, b"\x04" + b"".join(bytes((c, 0)) for c in range(1, 5)) + b"\x00\x3f\x00")
        + scan
        + b"\xff\xd9"
    )


def test_a_cmyk_image_becomes_rgb(tmp_path):
    """There are CMYK images among the validation images; read as they are, they would have four channels."""
    path = tmp_path / "cmyk.jpg"
    path.write_bytes(cmyk_jpeg((504, 0, 0, 504)))  # Adobe stores inks inverted: little cyan, half magenta and yellow
    sample = one(path)
    assert sample.shape == (SIDE, SIDE, 3)
    red, green, blue = sample.reshape(-1, 3).mean(axis=0)
    assert red > green + 30
    assert abs(green - blue) < 3


def test_pixels_are_taken_as_stored_whatever_exif_says(tmp_path):
    """The networks were trained on images decoded without a look at EXIF."""
    plain = jpeg(tmp_path / "plain.jpg", gradient(60, 90)).read_bytes()
    tiff = b"II*\0\x08\0\0\0" + struct.pack("<HHHIHHI", 1, 0x0112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + tiff
    turned = tmp_path / "turned.jpg"
    turned.write_bytes(plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:])
    assert cv2.imread(str(turned)).shape[:2] == (90, 60), "the tag must be one that a decoder would obey"
    assert np.array_equal(one(turned), one(tmp_path / "plain.jpg"))


@pytest.mark.parametrize("part", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_an_image_that_is_cut_off_is_corrupt(tmp_path, ending, part):
    """Some decoders fill the rest with gray, and an interrupted copy would become a sample."""
    path = tmp_path / f"image.{ending}"
    cv2.imwrite(str(path), gradient(200, 300))
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CorruptImageError):
        one(path)


def test_a_thumbnails_end_is_not_the_images_end(tmp_path):
    thumbnail = jpeg(tmp_path / "thumbnail.jpg", gradient(16, 16)).read_bytes()
    plain = jpeg(tmp_path / "plain.jpg", gradient(200, 300)).read_bytes()
    path = tmp_path / "image.jpg"
    whole = plain[:2] + b"\xff\xe2" + struct.pack(">H", len(thumbnail) + 2) + thumbnail + plain[2:]
    path.write_bytes(whole)
    assert one(path).std() > 10
    path.write_bytes(whole[:-2])
    with pytest.raises(CorruptImageError, match="cut off"):
        one(path)


# --- a store ---------------------------------------------------------------------------------------------------------


def test_a_store_has_every_sample_in_the_lists_order(tmp_path, image_list):
    images, labels = image_list(40)  # more than two batches
    seen = []
    store = prepare(images, labels, tmp_path / "s", workers=2, progress=lambda *step: seen.append(step))
    assert store.count == 40
    assert set(store.digests) == {"area", "linear"}
    assert seen[0] == (0, 40)
    assert seen[-1] == (40, 40)
    for name in ("area", "linear"):
        samples, classes = read(tmp_path / "s", interpolation=name)
        assert list(classes) == [index * 7 % 1000 for index in range(40)]
        for index in (0, 15, 16, 39):
            assert np.array_equal(samples[index], one(images / f"val_{index:05}.JPEG", name))
        assert (tmp_path / "s" / f"samples-{name}.u8").read_bytes() == samples.tobytes()


def test_the_list_may_be_as_people_have_it(tmp_path, image_list):
    images, labels = image_list(3)
    (images / "sub").mkdir()
    (images / "val_00001.JPEG").rename(images / "sub" / "val_00001.JPEG")
    labels.write_bytes("\ufeffval_00002.JPEG\t 999 \r\n\r\nsub/val_00001.JPEG 7\r\n  val_00000.JPEG   0".encode())
    prepare(images, labels, tmp_path / "s")
    samples, classes = read(tmp_path / "s")
    assert list(classes) == [999, 7, 0]
    assert np.array_equal(samples[1], one(images / "sub" / "val_00001.JPEG"))


def test_a_count_takes_the_first_of_the_list_and_of_the_store(tmp_path, image_list):
    images, labels = image_list(5)
    (images / "val_00004.JPEG").unlink()
    prepare(images, labels, tmp_path / "s", count=4)
    everything, classes = read(tmp_path / "s")
    part, part_classes = read(tmp_path / "s", count=2)
    assert np.array_equal(part, everything[:2])
    assert list(part_classes) == list(classes[:2])
    prepare(images, labels, tmp_path / "two", count=2)
    digests = {
        open_dataset(DatasetConfig("imagenet", str(tmp_path / name), 2), inputs(), tmp_path).digest
        for name in ("s", "two")
    }
    assert len(digests) == 1, "the same samples are the same dataset, however many others were prepared"


def test_the_digest_covers_samples_and_labels(tmp_path, image_list):
    images, labels = image_list(3)
    first = prepare(images, labels, tmp_path / "s").digests
    assert prepare(images, labels, tmp_path / "other").digests == first
    assert first["area"] != first["linear"]
    labels.write_text(labels.read_text().replace(" 7\n", " 8\n"))
    relabelled = prepare(images, labels, tmp_path / "s")
    assert relabelled.reused == 3
    assert relabelled.digests["area"] != first["area"]
    assert list(read(tmp_path / "s")[1]) == [0, 8, 14]


def test_a_complete_store_is_left_alone(tmp_path, image_list):
    arguments = (*image_list(3), tmp_path / "s")
    first = prepare(*arguments)
    before = (tmp_path / "s" / "samples-area.u8").stat().st_mtime_ns
    again = prepare(*arguments)
    assert (again.digests, again.reused) == (first.digests, 3)
    assert (tmp_path / "s" / "samples-area.u8").stat().st_mtime_ns == before


def test_a_changed_image_is_made_again(tmp_path, image_list):
    images, labels = image_list(3)
    first = prepare(images, labels, tmp_path / "s")
    jpeg(images / "val_00001.JPEG", gradient(60, 90))
    changed = prepare(images, labels, tmp_path / "s")
    assert changed.reused == 2
    assert changed.digests != first.digests
    assert np.array_equal(read(tmp_path / "s")[0][1], one(images / "val_00001.JPEG"))


def test_changed_options_make_the_store_anew(tmp_path, image_list):
    arguments = (*image_list(4), tmp_path / "s")
    prepare(*arguments, interpolations=["linear"])
    both = prepare(*arguments, interpolations=["area"])
    assert set(both.digests) == {"area", "linear"}, "what was there must not be lost"
    fewer = prepare(*arguments, count=2, force=True)
    assert (fewer.count, fewer.reused) == (2, 2)
    assert len(read(tmp_path / "s")[0]) == 2
    bigger = prepare(*arguments, side=48)
    assert bigger.reused == 0
    assert open_dataset(DatasetConfig("imagenet", str(tmp_path / "s")), inputs(48), tmp_path).count == 4
    assert prepare(*arguments).digests == prepare(*arguments[:2], tmp_path / "fresh").digests


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_larger_store_is_kept(tmp_path, image_list):
    """Trying ten images after a night of preparing fifty thousand must not throw the others away."""
    images, labels = image_list(5)
    whole = prepare(images, labels, tmp_path / "s")
    before = contents(tmp_path / "s")
    part = prepare(images, labels, tmp_path / "s", count=2)
    assert (part.count, part.asked, part.digests) == (5, 2, whole.digests)
    assert prepare(images, labels, tmp_path / "s", count=2, interpolations=["linear"]).count == 5
    labels.write_text("".join(labels.read_text().splitlines(keepends=True)[:3]))  # a list of fewer is no other wish
    assert prepare(images, labels, tmp_path / "s").count == 5
    assert contents(tmp_path / "s") == before
    forced = prepare(images, labels, tmp_path / "s", count=2, force=True)
    assert (forced.count, forced.asked, forced.reused) == (2, 2, 2)
    assert len(read(tmp_path / "s")[0]) == 2


@pytest.mark.parametrize("other", ["images", "labels", "interpolation"])
def test_a_larger_store_of_something_else_is_not_replaced(tmp_path, image_list, other):
    images, labels = image_list(4)
    prepare(images, labels, tmp_path / "s", interpolations=["area"])
    before = contents(tmp_path / "s")
    if other == "images":
        jpeg(images / "val_00001.JPEG", gradient(60, 90))
    elif other == "labels":
        labels.write_text(labels.read_text().replace(" 7\n", " 8\n"))
    options = {"count": 2, "interpolations": ["linear" if other == "interpolation" else "area"]}
    said = "not with interpolation linear; prepare as many" if other == "interpolation" else "first 2 of them are not"
    with pytest.raises(ConfigError, match=f"^count=2: 4 images are prepared in .*{said}.*--out DIR, .*--force$"):
        prepare(images, labels, tmp_path / "s", **options)
    assert contents(tmp_path / "s") == before
    assert prepare(images, labels, tmp_path / "s", **options, force=True).count == 2


def test_a_larger_preparation_that_was_stopped_is_not_thrown_away(tmp_path, image_list):
    images, labels = image_list(5)
    prepare(images, labels, tmp_path / "s")
    (tmp_path / "s" / "manifest.json").unlink()
    with pytest.raises(ConfigError, match="^count=2: preparing 5 images or more in .* was not finished; continue it"):
        prepare(images, labels, tmp_path / "s", count=2)
    assert prepare(images, labels, tmp_path / "s").reused == 5
    (tmp_path / "s" / "manifest.json").unlink()
    assert prepare(images, labels, tmp_path / "s", count=2, force=True).reused == 2


def test_a_damaged_sample_is_found_and_repaired(tmp_path, image_list):
    """Bytes that rot or are overwritten must not be measured as data."""
    arguments = (*image_list(4), tmp_path / "s")
    first = prepare(*arguments)
    with (tmp_path / "s" / "samples-area.u8").open("r+b") as file:
        file.seek(2 * SIDE * SIDE * 3 + 5)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes((byte ^ 1,)))
    with pytest.raises(SweepError, match="sample 2 changed"):
        read(tmp_path / "s")
    repaired = prepare(*arguments)
    assert (repaired.digests, repaired.reused) == (first.digests, 3)
    read(tmp_path / "s")


HEADER = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
"""How a file of NumPy begins whose header has 118 bytes."""


@pytest.mark.parametrize(
    "damage",
    [
        lambda store: (store / "labels.npy").unlink(),
        lambda store: (store / "labels.npy").write_bytes(b"no array"),
        lambda store: np.save(store / "labels.npy", np.zeros(3, dtype=np.int64)),
        lambda store: (store / "samples-area.u8").unlink(),
        lambda store: os.truncate(store / "samples-area.u8", 100),
        lambda store: (store / "samples-area.sha256").unlink(),
        lambda store: os.truncate(store / "samples-area.sha256", 70),
        lambda store: (store / "manifest.json").write_text("{"),
        lambda store: (store / "manifest.json").write_text("[]"),
        lambda store: (store / "manifest.json").write_text('{"schema_version": 1}'),
        lambda store: (store / "manifest.json").write_text("[" * 100_000),
        lambda store: (store / "manifest.json").write_text((store / "manifest.json").read_text().replace("3", "1e999")),
        lambda store: np.savez((store / "labels.npy").open("wb"), a=np.zeros(3)),
        lambda store: np.save(store / "labels.npy", np.array([{}] * 3, dtype=object)),
        lambda store: np.save(store / "labels.npy", np.zeros((3, 1))),
        lambda store: (store / "labels.npy").write_bytes(HEADER + b'{"descr": """'.ljust(117) + b"\n"),
        lambda store: (store / "labels.npy").write_bytes(
            HEADER + f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({10**30},)}}".encode().ljust(117) + b"\n"
        ),
    ],
)
def test_a_damaged_store_says_so_and_is_repaired(tmp_path, image_list, damage):
    arguments = (*image_list(3), tmp_path / "s")
    first = prepare(*arguments)
    damage(tmp_path / "s")
    with pytest.raises(ConfigError, match=r"is damaged.*sweep dataset imagenet .*--out"):
        read(tmp_path / "s")
    assert prepare(*arguments).digests == first.digests
    assert len(read(tmp_path / "s")[0]) == 3


def test_a_newer_store_is_refused(tmp_path, image_list):
    prepare(*image_list(2), tmp_path / "s")
    path = tmp_path / "s" / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 2}))
    with pytest.raises(ConfigError, match="by a newer sweep"):
        read(tmp_path / "s")


def test_opening_names_what_is_missing_and_the_command_that_makes_it(tmp_path, image_list):
    with pytest.raises(ConfigError, match=r"no images in .*python -m sweep dataset imagenet --images"):
        open_dataset(DatasetConfig("imagenet"), inputs(), tmp_path)
    prepare(*image_list(3), default_store(tmp_path), interpolations=["area"])
    assert open_dataset(DatasetConfig("imagenet"), inputs(), tmp_path).count == 3
    config = DatasetConfig("imagenet", count=4, interpolation="linear")
    with pytest.raises(ConfigError) as caught:
        open_dataset(config, (TensorSpec("x", "float32", (3, 224, 224)),), tmp_path)
    fit, interpolation, count = map(str, caught.value.problems)
    assert "uint8[32, 32, 3]" in fit
    assert "x float32[3, 224, 224]" in fit
    assert "--interpolation linear" in interpolation
    assert "at most 3" in count
    (default_store(tmp_path) / "manifest.json").unlink()
    with pytest.raises(ConfigError, match=r"was not finished.*continue it"):
        open_dataset(DatasetConfig("imagenet"), inputs(), tmp_path)


# --- what users get wrong --------------------------------------------------------------------------------------------


def test_a_malformed_list_is_reported_by_line(tmp_path, image_list):
    images, labels = image_list(2)
    bad = ["val_00000.JPEG", "a 1 2", "b x", "c -1", "d 1000", "e 1_0", "f " + "9" * 5000, "val_00001.JPEG 3"]
    labels.write_text(labels.read_text() + "\n".join(bad))
    with pytest.raises(ConfigError) as caught:
        prepare(images, labels, tmp_path / "s")
    lines = [problem.field.rpartition(":")[2] for problem in caught.value.problems]
    assert lines == [str(number) for number in range(3, 11)]
    text = str(caught.value)
    for words in (
        "1 fields instead of 2",
        "3 fields",
        "x is not a class",
        "1000 is out of range",
        "is on line 2 already",
    ):
        assert words in text
    assert not (tmp_path / "s").exists()


def test_a_wrong_folder_is_not_reported_fifty_thousand_times(tmp_path, image_list):
    _, labels = image_list(30)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"val_map\.txt:1=?.*val_00000") as caught:
        prepare(tmp_path / "empty", labels, tmp_path / "s")
    assert len(caught.value.problems) == 10
    assert "20 more" in str(caught.value.problems[-1])


def test_a_name_that_is_a_folder_is_no_image(tmp_path, image_list):
    images, labels = image_list(1)
    (images / "folder").mkdir()
    labels.write_text("folder 1\n")
    with pytest.raises(ConfigError, match="folder: is not a file"):
        prepare(images, labels, tmp_path / "s")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), (b"\xff\xfe\x00\x01", "is not text"), (b"\n \r\n", "lists no image")],
)
def test_a_list_that_is_none_is_named(tmp_path, image_list, content, message):
    images, labels = image_list(1)
    labels.unlink()
    if content is not None:
        labels.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"labels=.*val_map\.txt: {message}"):
        prepare(images, labels, tmp_path / "s")


def test_wrong_options_are_reported_together(tmp_path, image_list):
    images, labels = image_list(2)
    with pytest.raises(ConfigError) as caught:
        prepare(images, labels, tmp_path / "s", count=0, workers=0, side=0, interpolations=["cubic"])
    assert {problem.field for problem in caught.value.problems} == {"count", "workers", "side", "interpolation"}
    with pytest.raises(ConfigError, match="none was given"):
        prepare(images, labels, tmp_path / "s", interpolations=[])
    with pytest.raises(ConfigError, match=r"count=3.*lists 2 images"):
        prepare(images, labels, tmp_path / "s", count=3)
    with pytest.raises(ConfigError, match="nowhere: is not a folder"):
        prepare(tmp_path / "nowhere", labels, tmp_path / "s")


def test_every_corrupt_image_is_named_and_the_others_are_kept(tmp_path, image_list, capfd):
    """Finding them one run at a time would take a night each."""
    images, labels = image_list(40)
    whole = (images / "val_00003.JPEG").read_bytes()
    (images / "val_00003.JPEG").write_bytes(whole[: len(whole) // 2])
    (images / "val_00020.JPEG").write_bytes(b"")
    (images / "val_00039.JPEG").write_bytes(b"<html>not found</html>")
    with pytest.raises(ConfigError) as caught:
        prepare(images, labels, tmp_path / "s", workers=2)
    assert [problem.value for problem in caught.value.problems] == [f"val_{k:05}.JPEG" for k in (3, 20, 39)]
    assert [problem.field.rpartition(":")[2] for problem in caught.value.problems] == ["4", "21", "40"]
    assert capfd.readouterr() == ("", ""), "decoders' complaints tear a progress bar apart"
    with pytest.raises(ConfigError, match="was not finished"):
        read(tmp_path / "s")
    for index in (3, 20, 39):
        (images / f"val_{index:05}.JPEG").write_bytes(whole)
    assert prepare(images, labels, tmp_path / "s").reused == 37
    assert np.array_equal(read(tmp_path / "s")[0][3], one(images / "val_00003.JPEG"))


def test_opencv_missing_says_what_to_install(tmp_path, image_list, monkeypatch):
    images, labels = image_list(1)
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(MissingDependencyError, match="pip install opencv-python-headless"):
        prepare(images, labels, tmp_path / "s")


# --- what machines do ------------------------------------------------------------------------------------------------

PREPARE = textwrap.dedent("""
    import sys
    from pathlib import Path
    from sweep.datasets.imagenet_prepare import prepare_imagenet
    if __name__ == "__main__":
        images, labels, out = map(Path, sys.argv[1:])
        prepare_imagenet(images, labels, out, workers=2, side=32, progress=lambda *step: print(*step, flush=True))
""")


def test_a_killed_run_is_continued(tmp_path, image_list):
    images, labels = image_list(320, height=500, width=700, distinct=4)
    script = tmp_path / "prepare.py"
    script.write_text(PREPARE)
    run = subprocess.Popen(
        [sys.executable, script, images, labels, tmp_path / "s"], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    while int(run.stdout.readline().split()[0]) == 0:
        pass
    workers = psutil.Process(run.pid).children(recursive=True)
    run.kill()
    assert run.wait() == -signal.SIGKILL
    run.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive, "orphans would keep the machine busy under the next test"
    assert not (tmp_path / "s" / "manifest.json").exists()

    # A power cut can do worse than a kill: leave a mark whose sample never came to the disk.
    marks = np.fromfile(tmp_path / "s" / "samples-area.sha256", dtype=np.uint8).reshape(320, 2, 32)
    done = np.flatnonzero(marks.any(axis=(1, 2)))
    assert 0 < len(done) < 320
    with (tmp_path / "s" / "samples-area.u8").open("r+b") as file:
        file.seek(int(done[0]) * SIDE * SIDE * 3)
        file.write(bytes(SIDE * SIDE * 3))

    continued = prepare(images, labels, tmp_path / "s", workers=2)
    assert 0 < continued.reused < len(done)
    assert continued.digests == prepare(images, labels, tmp_path / "fresh", workers=2).digests


def test_a_disk_that_is_too_small_is_known_before_the_work(tmp_path, image_list):
    images, labels = image_list(8)
    script = tmp_path / "prepare.py"
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
    script.write_text(limit + PREPARE)
    run = subprocess.run(
        [sys.executable, script, images, labels, tmp_path / "s"], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert "SweepError" in run.stderr
    assert "samples-area.u8: cannot be written" in run.stderr
    assert "24576 bytes are needed" in run.stderr
    assert "make room" in run.stderr


def test_a_folder_that_cannot_be_written_is_named(tmp_path, image_list):
    arguments = image_list(1)
    (tmp_path / "file").write_text("")
    with pytest.raises(SweepError, match=r"file.*cannot be written.*name another one"):
        prepare(*arguments, tmp_path / "file" / "store")


def test_a_write_that_fails_in_a_worker_is_reported(tmp_path, image_list):
    def lose(done, total):
        if done == 0:
            (tmp_path / "s" / "samples-area.u8").unlink()

    with pytest.raises(SweepError, match=r"samples-area\.u8: cannot be written"):
        prepare(*image_list(3), tmp_path / "s", progress=lose)


def test_a_worker_that_is_killed_is_reported(tmp_path, image_list):
    """The kernel does that to whoever takes too much memory."""
    arguments = (*image_list(48, height=500, width=700, distinct=2), tmp_path / "s")

    def kill(done, total):
        if 0 < done < total:
            for child in psutil.Process().children(recursive=True):
                if "spawn_main" in " ".join(child.cmdline()):
                    child.kill()
                    time.sleep(0.2)

    with pytest.raises(SweepError, match="fewer workers"):
        prepare(*arguments, progress=kill)
    assert prepare(*arguments).reused >= 16


def test_two_runs_do_not_write_one_store(tmp_path, image_list):
    arguments = image_list(1)
    (tmp_path / "s").mkdir()
    with (tmp_path / "s" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SweepError, match="another run"):
            prepare(*arguments, tmp_path / "s")
    assert prepare(*arguments, tmp_path / "s").count == 1


def test_a_reader_is_not_given_samples_of_a_store_made_anew(tmp_path, image_list):
    """A sweep that runs while the store is prepared from other images must fail, not measure a mixture."""
    images, labels = image_list(3)
    prepare(images, labels, tmp_path / "s")
    dataset = open_dataset(DatasetConfig("imagenet", str(tmp_path / "s")), inputs(), tmp_path)
    jpeg(images / "val_00001.JPEG", gradient(60, 90))
    prepare(images, labels, tmp_path / "s")
    out = np.zeros((1, SIDE, SIDE, 3), dtype=np.uint8)
    dataset.read_into([0], {"input": out})
    with pytest.raises(SweepError, match="sample 1 changed"):
        dataset.read_into([1], {"input": out})
