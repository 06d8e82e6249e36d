"""boto3's download_file and upload_file of one object: seconds and the most memory above idle."""

import json
import os
import resource
import sys
import threading
import time

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

task, endpoint, bucket, key, path = sys.argv[1:6]
client = boto3.client(
    "s3",
    endpoint_url=endpoint,
    region_name="us-east-1",
    aws_access_key_id="AKIANOBODYATALL",
    aws_secret_access_key="a-secret-of-nobody",
    config=Config(
        s3={"addressing_style": "path"},
        max_pool_connections=32,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    ),
)
transfer = TransferConfig(max_concurrency=16)


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize()


idle = peak = resident()
done = threading.Event()


def watch():
    global peak
    while not done.wait(0.01):
        peak = max(peak, resident())


watcher = threading.Thread(target=watch)
watcher.start()
before = resource.getrusage(resource.RUSAGE_SELF)
started = time.perf_counter()
if task == "down":
    client.download_file(bucket, key, path, Config=transfer)
    with open(path, "rb") as file:
        os.fsync(file.fileno())
else:
    client.upload_file(path, bucket, key, Config=transfer)
seconds = time.perf_counter() - started
after = resource.getrusage(resource.RUSAGE_SELF)
done.set()
watcher.join()
cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
print(json.dumps({"seconds": seconds, "cpu": cpu, "memory": peak - idle}))
