from .dataset import (
    Dataset as Dataset,
)
from .files.reading import (
    Reading as Reading,
)
from .loading import (
    load_dataset as load_dataset,
)
from .model_outputs import (
    Meaning as Meaning,
    ModelOutputs as ModelOutputs,
)
from .objects import (
    data_file as data_file,
    write_npz as write_npz,
)
from .perturbation import (
    PERTURBATIONS as PERTURBATIONS,
    Perturbation as Perturbation,
    Perturbed as Perturbed,
    check_images as check_images,
    value_range as value_range,
)
from .preprocess import (
    Preprocess as Preprocess,
    warn_double_scaling as warn_double_scaling,
)
from .split import (
    split_rows as split_rows,
    strata_of as strata_of,
)
from .subset import (
    Subset as Subset,
    labels_by_output as labels_by_output,
)
from .task import (
    Task as Task,
    task_of as task_of,
)
from .truth.decoder import (
    Decoder as Decoder,
)
