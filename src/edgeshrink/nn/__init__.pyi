from .conversion.converter_process import (
    Conversion as Conversion,
    Converter as Converter,
    shared_converter as shared_converter,
)
from .conversion.keras_to_tflite import (
    convert as convert,
    loops as loops,
)
from .conversion.matching import (
    matched_ranges as matched_ranges,
    written_out as written_out,
)
from .conversion.recurrent import (
    Loop as Loop,
    recurrent_layers as recurrent_layers,
)
from .graph.bypass import (
    Switched as Switched,
    without as without,
)
from .graph.channel_groups import (
    ChannelGraph as ChannelGraph,
    ChannelGroup as ChannelGroup,
    channel_graph as channel_graph,
)
from .graph.counts import (
    LayerCount as LayerCount,
    ModelCount as ModelCount,
    Shape as Shape,
    count as count,
    layer_calls as layer_calls,
    macs_of as macs_of,
    uses_of as uses_of,
)
from .graph.fold import (
    DEPTHWISE_LAYERS as DEPTHWISE_LAYERS,
    LINEAR_LAYERS as LINEAR_LAYERS,
    consumers as consumers,
    folded as folded,
    unfolded_name as unfolded_name,
)
from .graph.kernel_axes import (
    CHANNEL_AXES as CHANNEL_AXES,
    quantized_weights as quantized_weights,
)
from .graph.rewrite import (
    Call as Call,
    Change as Change,
    copied as copied,
    functional as functional,
    opened as opened,
    rewritten as rewritten,
    untrained as untrained,
    with_weights as with_weights,
)
from .graph.scope import (
    CONVOLUTIONS as CONVOLUTIONS,
    LAYER_KINDS as LAYER_KINDS,
    final_tensors as final_tensors,
    kernels_of as kernels_of,
    layers_in as layers_in,
)
from .graph.section import (
    Passed as Passed,
    Section as Section,
    sections as sections,
)
from .graph.strength import (
    channel_norms as channel_norms,
    making_axes as making_axes,
    strongest_channels as strongest_channels,
    summed_by_channel as summed_by_channel,
    weight_slices as weight_slices,
)
from .graph.structure import (
    output_names as output_names,
    structured as structured,
)
from .graph.surgery import (
    narrowed as narrowed,
    zeroed as zeroed,
    zeroed_weights as zeroed_weights,
)
from .graph.trace import (
    AxisRole as AxisRole,
    WeightAxis as WeightAxis,
)
from .inputs.comparison import (
    agreement as agreement,
    divergence as divergence,
)
from .inputs.prediction import (
    predict as predict,
)
from .inputs.synthetic import (
    synthetic_inputs as synthetic_inputs,
)
from .learning.choosing import (
    chosen_training as chosen_training,
)
from .learning.distillation import (
    Distillation as Distillation,
    SoftLoss as SoftLoss,
    logits_of as logits_of,
)
from .learning.fake_quantization import (
    Grid as Grid,
    LearnedStep as LearnedStep,
    largest_code as largest_code,
)
from .learning.finetuning import (
    finetune as finetune,
)
from .learning.losses import (
    Hint as Hint,
    OutputLoss as OutputLoss,
    Trainee as Trainee,
)
from .learning.masks import (
    Masks as Masks,
    kernel_weights as kernel_weights,
)
from .learning.outputs import (
    activation_of as activation_of,
)
from .learning.quantized_twin import (
    calibrated_ranges as calibrated_ranges,
    is_relu as is_relu,
    twin as twin,
)
from .learning.reparameterization import (
    Forward as Forward,
    Reparameterized as Reparameterized,
    straight_through as straight_through,
)
from .learning.supervision import (
    Supervision as Supervision,
    objectives as objectives,
    training_batches as training_batches,
)
from .learning.trained import (
    learned_ends as learned_ends,
)
from .learning.training import (
    Course as Course,
    Schedule as Schedule,
    reestimate_batchnorm as reestimate_batchnorm,
)
from .learning.weight_sharing import (
    Scaled as Scaled,
    channel_rows as channel_rows,
    from_rows as from_rows,
    scaled_levels as scaled_levels,
    shared_values as shared_values,
    shares_but_for_scales as shares_but_for_scales,
    shares_tensors as shares_tensors,
)
from .loading.load import (
    load_model as load_model,
    save_model as save_model,
)
