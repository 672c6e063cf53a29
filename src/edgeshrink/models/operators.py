"""Operators that a SavedModel's graph may have: none of them touches files, network or programs.

A list of what is allowed, not of what is not: an operator that is not here is refused, whatever it
does. Written from TensorFlow 2.21's registry: arithmetic, shapes, layers, control flow, variables,
lists, tables in memory, random numbers and texts. Left out are those that read or write files
(`ReadFile`, `ImmutableConst`, `InitializeTableFromTextFileV2`), print (`PrintV2` to files too), run
Python (`PyFunc`), talk to other machines, or end the process (`Abort`).
"""

from __future__ import annotations

_NAMES = (
    # constants, placeholders, identities
    """
    Const Placeholder PlaceholderV2 PlaceholderWithDefault Identity IdentityN NoOp StopGradient
    PreventGradient Snapshot EnsureShape CheckNumerics CheckNumericsV2 Assert GuaranteeConst
    ControlTrigger Empty Fill ZerosLike OnesLike Range LinSpace DeepCopy FakeParam
    """
    # control flow
    """
    PartitionedCall StatefulPartitionedCall If StatelessIf While StatelessWhile Case StatelessCase
    For Switch Merge Enter Exit NextIteration LoopCond RefIdentity Select SelectV2 Where
    """
    # variables
    """
    VarHandleOp ReadVariableOp AssignVariableOp AssignAddVariableOp AssignSubVariableOp
    VarIsInitializedOp VariableShape DestroyResourceOp Variable VariableV2 Assign AssignAdd
    AssignSub IsVariableInitialized ResourceGather ResourceGatherNd ResourceScatterAdd
    ResourceScatterUpdate ResourceScatterNdUpdate ResourceScatterNdAdd ResourceStridedSliceAssign
    DisableCopyOnRead
    """
    # arithmetic
    """
    Abs Acos Acosh Add AddN AddV2 Angle ApproximateEqual Asin Asinh Atan Atan2 Atanh Betainc Cast
    Ceil ClipByValue Complex ComplexAbs Conj Cos Cosh Cross Cumprod Cumsum CumulativeLogsumexp
    Digamma Div DivNoNan Equal Erf Erfc Erfinv Exp Expm1 Floor FloorDiv FloorMod Greater
    GreaterEqual Igamma Igammac Imag Inv Invert IsFinite IsInf IsNan Less LessEqual Lgamma Log Log1p
    LogicalAnd LogicalNot LogicalOr Maximum Minimum Mod Mul MulNoNan Ndtri Neg NextAfter NotEqual
    Polygamma Pow Real RealDiv Reciprocal Rint Round Rsqrt Sigmoid Sign Sin Sinh Sqrt Square
    SquaredDifference Sub Tan Tanh TruncateDiv TruncateMod Xdivy Xlog1py Xlogy Zeta BitwiseAnd
    BitwiseOr BitwiseXor LeftShift RightShift PopulationCount Bitcast Bucketize Bincount
    DenseBincount ToBool
    """
    # reductions, orders, segments
    """
    All Any ArgMax ArgMin Max Mean Min Prod Sum EuclideanNorm L2Loss TopK TopKV2 ApproxTopK InTopK
    InTopKV2 NthElement Unique UniqueV2 UniqueWithCounts UniqueWithCountsV2 SegmentMax SegmentMean
    SegmentMin SegmentProd SegmentSum UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd
    UnsortedSegmentSum SparseSegmentSum SparseSegmentMean SparseSegmentSqrtN HistogramFixedWidth
    LowerBound UpperBound SparseToDense SparseReshape SparseFillEmptyRows SparseTensorDenseMatMul
    """
    # shapes and places
    """
    BatchToSpace BatchToSpaceND BroadcastArgs BroadcastTo BroadcastGradientArgs Concat ConcatV2
    ConcatOffset DepthToSpace Diag DiagPart DynamicPartition DynamicStitch ParallelDynamicStitch
    ExpandDims ExtractImagePatches ExtractVolumePatches Gather GatherNd GatherV2 InvertPermutation
    ListDiff MatrixBandPart MatrixDiag MatrixDiagV2 MatrixDiagV3 MatrixDiagPart MatrixDiagPartV2
    MatrixDiagPartV3 MatrixSetDiag MatrixSetDiagV2 MatrixSetDiagV3 MirrorPad OneHot Pack
    ParallelConcat Pad PadV2 Rank Reshape Reverse ReverseSequence ReverseV2 Roll ScatterNd
    ScatterNdNonAliasingAdd Shape ShapeN Size Slice SpaceToBatch SpaceToBatchND SpaceToDepth Split
    SplitV Squeeze StridedSlice TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub
    TensorScatterUpdate TensorStridedSliceUpdate Tile Transpose ConjugateTranspose Unpack
    UnravelIndex
    """
    # layers
    """
    AvgPool AvgPool3D BatchNormWithGlobalNormalization BiasAdd BiasAddV1 Conv Conv2D
    Conv2DBackpropInput Conv2DBackpropInputV2 Conv3D Conv3DBackpropInput Conv3DBackpropInputV2
    DataFormatDimMap DataFormatVecPermute DepthwiseConv2dNative DepthwiseConv2dNativeBackpropInput
    Dilation2D Elu FractionalAvgPool FractionalMaxPool FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 LRN LeakyRelu LogSoftmax MaxPool MaxPool3D MaxPoolV2 MaxPoolWithArgmax Relu
    Relu6 Selu Softmax Softplus Softsign SoftmaxCrossEntropyWithLogits
    SparseSoftmaxCrossEntropyWithLogits BlockLSTM BlockLSTMV2 LSTMBlockCell GRUBlockCell CudnnRNN
    CudnnRNNV2 CudnnRNNV3 CTCGreedyDecoder FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars
    FakeQuantWithMinMaxVarsPerChannel QuantizeAndDequantize QuantizeAndDequantizeV2
    QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeV2 Dequantize
    """
    # matrices
    """
    BatchMatMul BatchMatMulV2 BatchMatMulV3 BandedTriangularSolve Cholesky Einsum
    LogMatrixDeterminant Lu MatMul MatrixDeterminant MatrixExponential MatrixInverse MatrixLogarithm
    MatrixSolve MatrixSolveLs MatrixSquareRoot MatrixTriangularSolve Qr SelfAdjointEigV2 Svd
    TridiagonalMatMul TridiagonalSolve SparseMatMul
    """
    # images and sound, as numbers
    """
    AdjustContrastv2 AdjustHue AdjustSaturation CombinedNonMaxSuppression CropAndResize HSVToRGB
    ImageProjectiveTransformV2 ImageProjectiveTransformV3 NonMaxSuppression NonMaxSuppressionV2
    NonMaxSuppressionV3 NonMaxSuppressionV4 NonMaxSuppressionV5 NonMaxSuppressionWithOverlaps
    RGBToHSV ResizeArea ResizeBicubic ResizeBilinear ResizeNearestNeighbor ScaleAndTranslate
    AudioSpectrogram Mfcc FFT FFT2D FFT3D FFTND IFFT IFFT2D IFFT3D IFFTND RFFT RFFT2D RFFT3D RFFTND
    IRFFT IRFFT2D IRFFT3D IRFFTND
    """
    # lists, ragged tensors, tables in memory
    """
    EmptyTensorList TensorListConcat TensorListConcatV2 TensorListElementShape TensorListFromTensor
    TensorListGather TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack
    TensorListReserve TensorListResize TensorListScatter TensorListScatterV2
    TensorListScatterIntoExistingList TensorListSetItem TensorListSplit TensorListStack
    TensorArrayV3 TensorArrayReadV3 TensorArrayWriteV3 TensorArraySizeV3 TensorArrayGatherV3
    TensorArrayScatterV3 TensorArrayConcatV3 TensorArraySplitV3 TensorArrayCloseV3 RaggedRange
    RaggedGather RaggedTensorToTensor RaggedTensorToSparse RaggedTensorToVariant
    RaggedTensorFromVariant HashTableV2 MutableHashTableV2 MutableDenseHashTableV2 LookupTableFindV2
    LookupTableImportV2 LookupTableInsertV2 LookupTableSizeV2 LookupTableExportV2 InitializeTableV2
    """
    # random numbers
    """
    Multinomial RandomGamma RandomPoissonV2 RandomShuffle RandomStandardNormal RandomUniform
    RandomUniformInt TruncatedNormal StatelessMultinomial StatelessRandomGetAlg
    StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg StatelessRandomNormal
    StatelessRandomNormalV2 StatelessRandomUniform StatelessRandomUniformV2
    StatelessRandomUniformFullInt StatelessRandomUniformFullIntV2 StatelessRandomUniformInt
    StatelessRandomUniformIntV2 StatelessShuffle StatelessTruncatedNormal StatelessTruncatedNormalV2
    RngReadAndSkip RngSkip StatefulStandardNormalV2 StatefulUniform StatefulUniformInt
    """
    # texts in memory
    """
    AsString StringFormat
    ReduceJoin RegexFullMatch RegexReplace StaticRegexFullMatch StaticRegexReplace
    StringJoin StringLength StringLower StringNGrams StringSplit StringSplitV2 StringStrip
    StringToHashBucket StringToHashBucketFast StringToHashBucketStrong StringToNumber StringUpper
    Substr UnicodeDecode UnicodeEncode UnicodeScript UnicodeTranscode DecodeRaw
    """
)
ALLOWED = frozenset(_NAMES.split())

# How every SavedModel keeps its variables: allowed in what its saver names, and nowhere else.
SAVING = frozenset(("SaveV2", "ShardedFilename", "MergeV2Checkpoints"))
RESTORING = frozenset(("RestoreV2",))
