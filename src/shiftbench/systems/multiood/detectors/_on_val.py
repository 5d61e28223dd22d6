"""The validation rows in the place of the training rows; helper of detectors that are fitted on them.

Source: donghao51/MultiOOD, `eval_video_flow_near_ood.py`: of Kinetics-600 KNN, Mahalanobis and ViM read the features
of the validation split, of all other sets those of the training split.
"""

from shiftbench.plugins.detectors._rows import Known


def val_as_train(known: Known) -> Known:
    """The fitting data of a detector, with the validation rows as `train`."""
    return Known({"train": known.val})
