from .backend import (
    Backend as Backend,
)
from .estimate import (
    Estimate as Estimate,
)
from .exporter import (
    Exporter as Exporter,
)
from .measurement import (
    RULES as RULES,
    RULES_HELP as RULES_HELP,
    ArenaUse as ArenaUse,
    BenchPlan as BenchPlan,
    DeviceInfo as DeviceInfo,
    Energy as Energy,
    Failure as Failure,
    Kernels as Kernels,
    Measurement as Measurement,
    OperatorTime as OperatorTime,
    Summary as Summary,
)
from .payoff import (
    PAYS as PAYS,
    lacking as lacking,
)
from .profile import (
    PRECISIONS as PRECISIONS,
    DeviceProfile as DeviceProfile,
    address_scheme as address_scheme,
    available_profiles as available_profiles,
    check_profile_name as check_profile_name,
    find_profile as find_profile,
    profile_at as profile_at,
    recognise_profile as recognise_profile,
    save_profile as save_profile,
    user_folder as user_folder,
)
from .reader import (
    Reader as Reader,
    Toolchain as Toolchain,
)
from .runtime import (
    Runtime as Runtime,
    Session as Session,
)
from .statistics import (
    NORMAL_95 as NORMAL_95,
    mcnemar as mcnemar,
    wilson as wilson,
)
from .target import (
    Completed as Completed,
    Progress as Progress,
    Target as Target,
)
from .trust import (
    HERE as HERE,
)
