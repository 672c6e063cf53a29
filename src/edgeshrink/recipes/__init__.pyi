from .asked import (
    TOLERANCE as TOLERANCE,
    Asked as Asked,
)
from .column import (
    MEASURES as MEASURES,
    Column as Column,
)
from .context import (
    Agreement as Agreement,
    Context as Context,
    Room as Room,
)
from .keys import (
    digest_of as digest_of,
    source_digest as source_digest,
)
from .layerwise import (
    Changed as Changed,
    LayerChange as LayerChange,
    Strengths as Strengths,
)
from .method import (
    Method as Method,
    Need as Need,
    Phase as Phase,
    Plan as Plan,
)
from .precision import (
    MADE_BY as MADE_BY,
    Precision as Precision,
    read_by_all as read_by_all,
    weighted as weighted,
)
from .recipe import (
    Methods as Methods,
    Recipe as Recipe,
)
from .sources import (
    used_digest as used_digest,
)
from .space import (
    Place as Place,
    Point as Point,
    Space as Space,
)
from .study import (
    Base as Base,
    Heading as Heading,
    Source as Source,
    Study as Study,
)
from .table import (
    Claim as Claim,
    Figure as Figure,
    Filled as Filled,
    StudyRow as StudyRow,
    Table as Table,
)
from .training import (
    Training as Training,
    own_losses as own_losses,
)
