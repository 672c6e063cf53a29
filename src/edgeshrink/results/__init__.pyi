from .claims import (
    Change as Change,
    ClaimFound as ClaimFound,
    held as held,
)
from .judge import (
    Judge as Judge,
    Outputs as Outputs,
    Samples as Samples,
    samples_of as samples_of,
)
from .ledger import (
    UNCOMPRESSED as UNCOMPRESSED,
    Latency as Latency,
    Ledger as Ledger,
    OnDevice as OnDevice,
    Row as Row,
)
from .ledger_sentences import (
    observations as observations,
)
from .merit import (
    Merit as Merit,
    with_merits as with_merits,
)
from .metric import (
    Metric as Metric,
    Score as Score,
)
from .paired import (
    Paired as Paired,
    paired_z as paired_z,
)
from .report import (
    SCHEMA as SCHEMA,
    Report as Report,
    Reporter as Reporter,
    json_text as json_text,
    versions as versions,
)
from .report_sentences import (
    summary as summary,
)
from .robustness import (
    Case as Case,
    Pair as Pair,
    Robustness as Robustness,
)
from .sensitivity import (
    Effect as Effect,
    Sensitivity as Sensitivity,
    SensitivityReport as SensitivityReport,
    bearable as bearable,
    most_sensitive_first as most_sensitive_first,
)
from .study_report import (
    STUDY_SCHEMA as STUDY_SCHEMA,
    StudyReport as StudyReport,
    TableFound as TableFound,
)
from .study_row import (
    Cell as Cell,
    RowFound as RowFound,
    Value as Value,
)
from .verdict import (
    ClassChange as ClassChange,
    Verdict as Verdict,
    max_drop as max_drop,
    near_chance as near_chance,
)
