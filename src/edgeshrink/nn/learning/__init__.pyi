from .choosing import (
    chosen_training as chosen_training,
    most_epochs as most_epochs,
)
from .distillation import (
    Distillation as Distillation,
    SoftLoss as SoftLoss,
    logits_of as logits_of,
)
from .fake_quantization import (
    Grid as Grid,
    LearnedStep as LearnedStep,
    largest_code as largest_code,
)
from .finetuning import (
    finetune as finetune,
)
from .losses import (
    Hint as Hint,
    OutputLoss as OutputLoss,
    Trainee as Trainee,
)
from .masks import (
    Masks as Masks,
    kernel_weights as kernel_weights,
)
from .outputs import (
    activation_of as activation_of,
    output_facts as output_facts,
)
from .quantized_twin import (
    calibrated_ranges as calibrated_ranges,
    is_relu as is_relu,
    observed_values as observed_values,
    twin as twin,
)
from .reparameterization import (
    Forward as Forward,
    Reparameterized as Reparameterized,
    straight_through as straight_through,
)
from .supervision import (
    Supervision as Supervision,
    objectives as objectives,
    training_batches as training_batches,
)
from .trained import (
    TrainedTwin as TrainedTwin,
    learned_ends as learned_ends,
    trained_twin as trained_twin,
)
from .training import (
    Course as Course,
    reestimate_batchnorm as reestimate_batchnorm,
)
from .weight_sharing import (
    MOST_SHARED_VALUES as MOST_SHARED_VALUES,
    Scaled as Scaled,
    channel_rows as channel_rows,
    from_rows as from_rows,
    scaled_levels as scaled_levels,
    scaled_values as scaled_values,
    shared_values as shared_values,
    shares_but_for_scales as shares_but_for_scales,
    shares_tensors as shares_tensors,
)
