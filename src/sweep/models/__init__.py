from sweep.models.base import ModelConfig, ResolvedModel, TensorSpec
from sweep.models.calibration import Calibration, CalibrationMethod
from sweep.models.config import model_config
from sweep.models.registry import resolve_model

__all__ = [
    "Calibration",
    "CalibrationMethod",
    "ModelConfig",
    "ResolvedModel",
    "TensorSpec",
    "model_config",
    "resolve_model",
]
