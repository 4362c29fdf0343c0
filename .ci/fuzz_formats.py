"""How the fuzz run writes bodies of the formats that an import takes: as the bytes or the text that was made up."""

import schemathesis


@schemathesis.serializer(
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/x-ndjson",
)
def as_it_is(_context, value):
    return value if isinstance(value, bytes) else str(value).encode()
