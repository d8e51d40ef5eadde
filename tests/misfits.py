"""What may lie in the place of a file."""

import os


def as_folder(path):
    path.unlink()
    path.mkdir()


def as_loop(path):
    path.unlink()
    path.symlink_to(path.name)


def as_pipe(path):
    path.unlink()
    os.mkfifo(path)
