"""Sources of samples for LoadGen's query sample library."""

from sweep.datasets.base import Dataset, DatasetConfig
from sweep.datasets.config import dataset_config, unread_settings
from sweep.datasets.imagenet import default_store
from sweep.datasets.registry import Opener, dataset_names, open_calibration, open_dataset, register_dataset

__all__ = [
    "Dataset",
    "DatasetConfig",
    "Opener",
    "dataset_config",
    "dataset_names",
    "default_store",
    "open_calibration",
    "open_dataset",
    "register_dataset",
    "unread_settings",
]
