from .bypass import (
    Switched as Switched,
    without as without,
)
from .channel_groups import (
    ChannelGraph as ChannelGraph,
    ChannelGroup as ChannelGroup,
    channel_graph as channel_graph,
)
from .counts import (
    ModelCount as ModelCount,
    Shape as Shape,
    count as count,
    layer_calls as layer_calls,
    macs_of as macs_of,
    uses_of as uses_of,
)
from .fold import (
    DEPTHWISE_LAYERS as DEPTHWISE_LAYERS,
    LINEAR_LAYERS as LINEAR_LAYERS,
    consumers as consumers,
    folded as folded,
)
from .kernel_axes import (
    CHANNEL_AXES as CHANNEL_AXES,
    quantized_weights as quantized_weights,
)
from .rewrite import (
    Call as Call,
    copied as copied,
    functional as functional,
    opened as opened,
    rewritten as rewritten,
    settle as settle,
    untrained as untrained,
    with_weights as with_weights,
)
from .scope import (
    CONVOLUTIONS as CONVOLUTIONS,
    LAYER_KINDS as LAYER_KINDS,
    final_tensors as final_tensors,
    kernels_of as kernels_of,
    layers_in as layers_in,
)
from .section import (
    Passed as Passed,
    Section as Section,
    sections as sections,
)
from .strength import (
    channel_norms as channel_norms,
    making_axes as making_axes,
    strongest_channels as strongest_channels,
    summed_by_channel as summed_by_channel,
    weight_slices as weight_slices,
)
from .structure import (
    output_names as output_names,
    structured as structured,
)
from .surgery import (
    narrowed as narrowed,
    zeroed as zeroed,
)
from .trace import (
    AxisRole as AxisRole,
    WeightAxis as WeightAxis,
)
