from .budgets import (
    Budgets as Budgets,
)
from .claims import (
    Change as Change,
    ClaimFound as ClaimFound,
    held as held,
)
from .figures import (
    Figures as Figures,
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
    with_own as with_own,
)
from .paired import (
    Paired as Paired,
    paired_z as paired_z,
)
from .report import (
    SCHEMA as SCHEMA,
    Report as Report,
    json_text as json_text,
    read_document as read_document,
    versions as versions,
)
from .report_sentences import (
    summary as summary,
)
from .reporter import (
    Reporter as Reporter,
)
from .robustness import (
    Case as Case,
    Pair as Pair,
    Robustness as Robustness,
)
from .rules import (
    Rule as Rule,
    rules_of as rules_of,
)
from .scoring.scored import (
    check_record as check_record,
)
from .searches.report import (
    USUAL_TRIALS as USUAL_TRIALS,
    Outcome as Outcome,
    SearchReport as SearchReport,
    Trial as Trial,
)
from .searches.sentences import (
    search_cells as search_cells,
    search_heads as search_heads,
    search_summary as search_summary,
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
    Drop as Drop,
    Verdict as Verdict,
    allowed as allowed,
    near_chance as near_chance,
)
