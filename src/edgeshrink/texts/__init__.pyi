from .document import (
    check_ends as check_ends,
    from_json as from_json,
    from_toml as from_toml,
    read_text as read_text,
    shortly as shortly,
    typed as typed,
)
from .durations import (
    seconds as seconds,
)
from .markdown import (
    in_markdown as in_markdown,
)
from .safe import (
    shown as shown,
    shown_json as shown_json,
)
from .toml_writer import (
    toml_value as toml_value,
)
