from .benching import (
    bench as bench,
)
from .checking import (
    Check as Check,
    check as check,
)
from .compressing import (
    compress as compress,
)
from .exporting import (
    export as export,
    export_places as export_places,
    exporter_named as exporter_named,
)
from .inspecting import (
    inspected as inspected,
)
from .kept_places import (
    large as large,
    places_kept as places_kept,
)
from .layer_sensitivity import (
    SensitivityRequest as SensitivityRequest,
    sensitivity as sensitivity,
)
from .measuring.bench_request import (
    BenchReport as BenchReport,
    BenchRequest as BenchRequest,
    BenchResult as BenchResult,
)
from .measuring.device_setup import (
    clean_device as clean_device,
    identify_device as identify_device,
    known_devices as known_devices,
    setup_device as setup_device,
)
from .measuring.sessions import (
    chosen_devices as chosen_devices,
    host_session as host_session,
    open_session as open_session,
    session_options as session_options,
)
from .packing import (
    pack as pack,
)
from .planning.planner import (
    plan as plan,
)
from .planning.request import (
    Planned as Planned,
    PlannedStep as PlannedStep,
    Request as Request,
    default_out as default_out,
)
from .reading import (
    Reading as Reading,
    readings as readings,
    tried as tried,
)
from .searching.planning import (
    PlannedSearch as PlannedSearch,
    plan_search as plan_search,
)
from .searching.request import (
    SearchRequest as SearchRequest,
)
from .searching.search_run import (
    search as search,
)
from .studies.study_request import (
    StudyRequest as StudyRequest,
)
from .studies.study_run import (
    plan_study as plan_study,
    retell_study as retell_study,
    study as study,
)
from .workers import (
    Account as Account,
    ends as ends,
    serve as serve,
    signal_name as signal_name,
)
