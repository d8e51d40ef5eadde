"""`sweep dataset`: usage errors are one line, and what is prepared is not thrown away unasked."""

import numpy as np
import pytest

from sweep.cli import main

NEEDED = ["imagenet", "--images", "images", "--labels", "val_map.txt"]

pytestmark = pytest.mark.usefixtures("empty_folder")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "dataset: must be given first; choose one of: imagenet"),
        (["--count", "3", "imagenet"], "dataset: must be given first; choose one of: imagenet"),
        (["imagnet"], "dataset=imagnet: unknown; did you mean imagenet? choose one of: imagenet"),
        (
            ["imagenet"],
            "sweep dataset imagenet: --images, --labels must be given; see python -m sweep dataset imagenet --help",
        ),
        ([*NEEDED, "--count", "x"], "--count=x: must be a whole number from 1"),
        ([*NEEDED, "--count", "0"], "--count=0: must be a whole number from 1"),
        ([*NEEDED, "--count", "-1"], "--count=-1: must be a whole number from 1"),
        ([*NEEDED, "--count", "9" * 5000], "--count=9"),
        ([*NEEDED, "--workers", "0"], "--workers=0: must be a whole number from 1"),
        ([*NEEDED, "--workers"], "--workers: expected one argument; see python -m sweep dataset imagenet --help"),
        (
            [*NEEDED, "--interpolation", "aera"],
            "--interpolation=aera: unknown; did you mean area? choose one of: area, both, linear",
        ),
        ([*NEEDED, "--cuont=3"], "--cuont: unknown flag; did you mean --count? choose one of: --count, "),
        ([*NEEDED, "more"], "more: sweep dataset imagenet takes no such argument; see python -m sweep dataset"),
    ],
)
def test_a_usage_error_is_one_line(capfd, arguments, line):
    assert main(["dataset", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"error: {line}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(("arguments", "shown"), [([], "imagenet"), (["imagenet"], "--labels FILE")])
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_shown(capfd, arguments, shown, flag):
    with pytest.raises(SystemExit) as ended:
        main(["dataset", *arguments, flag])
    assert ended.value.code == 0
    assert shown in capfd.readouterr().out


@pytest.fixture
def images(tmp_path):
    cv2 = pytest.importorskip("cv2", reason="preparing images needs OpenCV")
    (tmp_path / "images").mkdir()
    for index in range(3):
        cv2.imwrite(f"images/{index}.png", np.full((40, 60, 3), 50 * index, np.uint8))
    (tmp_path / "val_map.txt").write_text("0.png 0\n1.png 1\n2.png 2\n")


def test_fewer_images_than_are_prepared_are_a_setting_and_no_reason_to_lose_the_others(images, capfd):
    command = ["dataset", *NEEDED, "--workers", "1", "--out", "store"]
    assert main(command) == 0
    assert "imagenet: 3 samples (area, linear) in store" in capfd.readouterr().out
    assert main([*command, "--count", "2"]) == 0
    assert capfd.readouterr().out == (
        "imagenet: prepared already, with 3 samples (area, linear) in store; "
        "to use the first 2: dataset.count=2; to keep no more: --force\n"
    )
    assert main([*command, "--count", "2", "--force"]) == 0
    assert "imagenet: 2 samples" in capfd.readouterr().out
