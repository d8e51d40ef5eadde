from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def image_list(tmp_path) -> Callable[..., tuple[Path, Path]]:
    """Make a folder of `count` noise images and the list that labels them; returns both paths."""
    cv2 = pytest.importorskip("cv2", reason="making images needs OpenCV")

    def make(count: int = 5, *, height: int = 40, width: int = 60, distinct: int | None = None, ending: str = "JPEG"):
        folder = tmp_path / "images"
        folder.mkdir(exist_ok=True)
        lines = []
        for index in range(count):
            path = folder / f"val_{index:05}.{ending}"
            if distinct is not None and index >= distinct:
                path.hardlink_to(folder / f"val_{index % distinct:05}.{ending}")
            else:
                pixels = np.random.default_rng(index).integers(0, 256, (height, width, 3), dtype=np.uint8)
                assert cv2.imwrite(str(path), pixels)
            lines.append(f"{path.name} {index * 7 % 1000}\n")
        labels = tmp_path / "val_map.txt"
        labels.write_text("".join(lines))
        return folder, labels

    return make
