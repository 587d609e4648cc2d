"""Settings of the train step."""

from collections.abc import Sequence
from typing import Literal, Self

import pydantic

from components.train.augmentation.settings import AugmentationSettings
from components.train.distribution.strategy import StrategyName
from darkroom.backbones.registry import check_backbone, check_options
from darkroom.backbones.weights import IMAGENET, RANDOM
from darkroom.errors import SettingsError
from darkroom.settings import Settings, nearest
from darkroom.storage.paths import mounted_path

ExportForm = Literal["tflite", "tflite_int8", "tflite_integer", "onnx"]
CALIBRATED_FORMS: tuple[ExportForm, ...] = ("tflite_int8", "tflite_integer")
"""Forms of 8 bits, which take the ranges of all values from training photographs."""


class DecisionSettings(Settings):
    """From which probability on a model of two labels gives the positive one.

    The threshold is chosen on the valid split, after the calibration. Without a wanted recall or
    precision it is the cheapest one by what mistakes cost.
    """

    positive_label: str
    """The label that matters: what is looked for."""
    recall: float | None = pydantic.Field(default=None, gt=0, le=1)
    """Share of the photographs with the label that must be found; of the thresholds that do, the
    one of the highest precision is taken."""
    precision: float | None = pydantic.Field(default=None, gt=0, le=1)
    """Share of the photographs given the label that must have it; of the thresholds that do, the
    one of the highest recall is taken."""
    missed: float | None = pydantic.Field(default=None, gt=0, allow_inf_nan=False)
    """What a photograph costs that has the label and is not given it; unset: 1."""
    false_alarm: float | None = pydantic.Field(default=None, gt=0, allow_inf_nan=False)
    """What a photograph costs that is given the label and does not have it; unset: 1."""

    @pydantic.model_validator(mode="after")
    def _one_way(self) -> Self:
        costs = (self.missed or self.false_alarm) is not None
        if (self.recall is not None) + (self.precision is not None) + costs > 1:
            raise ValueError("give one of 'recall', 'precision' and what mistakes cost")
        return self


def check_positive_label(decision: DecisionSettings, labels: Sequence[str]) -> None:
    """Checks that there are two labels, one of which is the positive one.

    Raises:
        SettingsError: There are not.
    """
    if len(labels) != 2:
        raise SettingsError(f"setting 'train.decision' is for two labels; there are {len(labels)}")
    if decision.positive_label not in labels:
        raise SettingsError(
            "setting 'train.decision.positive_label': there is no label "
            f"'{decision.positive_label}'{nearest(decision.positive_label, labels)}"
        )


class TrainSettings(Settings):
    """What is trained, and how.

    With weights to start from, training has two phases: the new head on the frozen backbone for
    `epochs`, then the backbone with it for `fine_tune_epochs`. Without, the whole network is
    trained for `epochs`. In each phase the learning rate rises linearly over the first tenth and
    then falls to zero on a cosine. The weights of the best epoch are kept.
    """

    backbone: str = "MobileNetV2"
    """A network of `keras.applications` by its name there; `small_cnn`, `lenet5`, `resnet34` or
    `squeezenet`, which start from random weights; `linear`, the baseline to beat; or
    your own: `my_package.my_module:my_backbone`, called with one argument, the tuple
    `(height, width)`, returns a keras.Model from pixels of mean 0 and variance 1, [N, H, W, 3], to
    a feature map [N, h, w, D] or an embedding [N, D]. Its folder has to be on PYTHONPATH."""
    alpha: float | None = pydantic.Field(default=None, gt=0)
    """Width multiplier of the MobileNets; unset: the network's own default."""
    weights: str = "imagenet"
    """`imagenet`, a path to a weights file without top, or `none` for random weights."""
    epochs: int = pydantic.Field(default=5, ge=1)
    """Epochs of the head, or of the whole network where there are no weights to start from."""
    fine_tune_epochs: int = pydantic.Field(default=0, ge=0)
    """Epochs of the whole network after the head's."""
    batch_size: int = pydantic.Field(default=32, ge=1)
    """Photographs a step, over all devices of all workers together."""
    learning_rate: float = pydantic.Field(default=1e-3, gt=0)
    """Peak learning rate of Adam in the first phase."""
    fine_tune_learning_rate: float = pydantic.Field(default=2e-4, gt=0)
    """Peak learning rate of Adam in the second phase."""
    learning_rate_batch_size: int | None = pydantic.Field(default=None, ge=1)
    """Batch size that both learning rates were found with: they scale with `batch_size` over it,
    linearly. Unset, they are used as given. `batch_size` is global, so that more devices at
    the same batch size change neither the rates nor the steps."""
    fine_tune_from: str | None = None
    """Name of the backbone's first layer to train in the second phase; unset: all of them."""
    fine_tune_batch_norm: Literal["frozen", "trained"] = "frozen"
    """Whether the backbone's batch norm keeps its statistics and weights in the second phase."""
    depth_decay: float = pydantic.Field(default=1.0, gt=0, le=1)
    """Learning rate of the deepest layer in the second phase, as a fraction of the head's; those
    between follow geometrically."""
    monitor: Literal["val_loss", "val_accuracy"] = "val_loss"
    """Metric that decides which epoch is the best, and when to stop early. Where photographs have
    several labels, `val_accuracy` means the macro F1 at the best thresholds."""
    patience: int | None = pydantic.Field(default=None, ge=1)
    """Epochs without a better `monitor` after which a phase ends early; unset: never."""
    class_weights: Literal["none", "balanced"] = "none"
    """`balanced` weighs a photograph's loss by how rare its label is in the training split. Where
    photographs have several labels, those with a label weigh as much in total as those without."""
    weight_decay: float = pydantic.Field(default=0.0, ge=0)
    """AdamW's weight decay, on all trained weights except biases and norms."""
    l1: float = pydantic.Field(default=0.0, ge=0)
    """L1 penalty on the head's weights."""
    l2: float = pydantic.Field(default=0.0, ge=0)
    """L2 penalty on the head's weights."""
    label_smoothing: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Probability given to the labels a photograph does not have; where photographs have several,
    half of it, and as much is taken from those it has."""
    head_width: int = pydantic.Field(default=0, ge=0)
    """Units of a hidden layer (ReLU) between embedding and labels; 0: the head has none."""
    dropout: float = pydantic.Field(default=0.0, ge=0, lt=1)
    """Fraction of the embedding dropped before the head during training."""
    calibration: Literal["temperature", "none"] = "temperature"
    """`temperature` divides the logits by the number that fits the valid split best, so that of
    answers of probability 0.9 some 90 % are right; no label changes by it. From 50 valid
    photographs on."""
    decision: DecisionSettings | None = None
    """Of two labels, which one matters and what its threshold must reach; unset: the more
    probable label is given. `{positive_label: melanoma, recall: 0.95}`."""
    standardize: bool = False
    """Scale pixels by the photographs' own mean and variance by channel instead of by the
    convention of `keras.applications`, as all other backbones always do: for photographs unlike
    ImageNet's (X-rays, spectra) and a backbone that starts from random weights."""
    augmentation: AugmentationSettings = AugmentationSettings()
    """Random changes to training photographs."""
    strategy: StrategyName = "auto"
    """`one_device`; `mirrored` over the machine's GPUs; `multi_worker` over the workers that
    TF_CONFIG names, as Vertex and Kubeflow set it; `tpu`; or `auto`, which uses what is there."""
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    """Number format of the computation; weights and probabilities are always float32."""
    jit_compile: bool = False
    """Compile the training step with XLA: for GPUs and TPUs, as on a CPU it is much slower."""
    checkpoints: str | None = None
    """Folder (or `gs://` URI, mounted as `/gcs` as on Vertex) from which a killed training
    resumes: one for each pipeline. Unset, it is the step's output `checkpoints`, which a
    cluster creates again for every attempt."""
    checkpoint_steps: int | None = pydantic.Field(default=None, ge=1)
    """Steps after which a checkpoint is written within an epoch; unset: after each epoch only."""
    tensorboard: bool = False
    """Write curves, histograms of weights, graph, augmented samples and the confusion matrix of
    the validation split to a folder `tensorboard` beside the checkpoint."""
    from_model: str | None = None
    """Folder of a former model whose weights training starts from, for periodic retraining; from
    scratch if its labels or its backbone differ."""
    export: tuple[ExportForm, ...] = ()
    """Further forms, in `exports/` beside the SavedModel: `tflite` and `onnx`, which must give its
    probabilities to within 1e-4; `tflite_int8`, some four times smaller; and `tflite_integer`,
    which calculates in whole numbers of 8 bits only, answers included, for accelerators such as the
    Edge TPU and for `darkroom export --edge`. Those two are calibrated on training photographs.
    Each takes `image`, uint8 pixels [1, H, W, 3] (`onnx`: [N, H, W, 3]) of the model's size.
    `exports.json` has their sizes, times and accuracy, which the report shows."""
    seed: int = pydantic.Field(default=0, ge=0)
    """Seed of weights, shuffling, dropout and augmentation."""

    @pydantic.field_validator("backbone")
    @classmethod
    def _check_backbone(cls, name: str) -> str:
        return check_backbone(name)

    @pydantic.field_validator("checkpoints")
    @classmethod
    def _mounted(cls, folder: str | None) -> str | None:
        return mounted_path(folder) if folder else folder

    @pydantic.field_validator("weights", mode="before")
    @classmethod
    def _null_is_none(cls, weights: object) -> object:
        # People write `null` in YAML; pipeline parameters have no such value.
        return RANDOM if weights is None else weights

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        check_options(self.backbone, self.alpha, self.weights == IMAGENET, self.standardize)
        return self

    def scaled(self, learning_rate: float) -> float:
        """Scales a learning rate to `batch_size`."""
        return learning_rate * self.batch_size / (self.learning_rate_batch_size or self.batch_size)
