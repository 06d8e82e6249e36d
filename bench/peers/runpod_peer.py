"""An empty handler on RunPod's Python SDK: CONCURRENCY"""

import sys

import runpod

concurrency = int(sys.argv[1])


async def handler(job):
    return {"ok": True}


runpod.serverless.start(
    {"handler": handler, "concurrency_modifier": lambda current: concurrency}
)
