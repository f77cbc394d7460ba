"""Writes the API's description: `python -m halonyx.relay.openapi > docs/reference/openapi.json`."""

import sys

from halonyx.relay.app import openapi_document

if __name__ == "__main__":
    sys.stdout.buffer.write(openapi_document())
