"""Everyday work of boto3 against an S3 endpoint. Arguments: ENDPOINT, a folder to work in. Ends with 1, and says why, where something is wrong."""
import hashlib
import os
import sys
import urllib.request

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

endpoint, folder = sys.argv[1:]
config = Config(signature_version="s3v4", retries={"max_attempts": 0}, s3={"addressing_style": "path"})
s3 = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", config=config)
parts = TransferConfig(multipart_threshold=8 << 20, multipart_chunksize=8 << 20)


def failing(code, call, **arguments):
    try:
        call(**arguments)
    except ClientError as error:
        assert error.response["Error"]["Code"] == code, error.response
        return
    raise AssertionError(f"{call.__name__} did not fail with {code}")


def digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else hashlib.sha256(file.read()).hexdigest()


large, back = os.path.join(folder, "boto3-large"), os.path.join(folder, "boto3-back")
with open(large, "wb") as file:
    for _ in range(100):
        file.write(os.urandom(1 << 20))

s3.create_bucket(Bucket="boto3")
s3.upload_file(large, "boto3", "dir/large", Config=parts, ExtraArgs={"Metadata": {"who": "boto3"}})
head = s3.head_object(Bucket="boto3", Key="dir/large")
assert head["ContentLength"] == 100 << 20 and head["Metadata"] == {"who": "boto3"} and head["ETag"].endswith('-13"'), head
s3.download_file("boto3", "dir/large", back, Config=parts)
assert digest(large) == digest(back)

s3.copy({"Bucket": "boto3", "Key": "dir/large"}, "boto3", "copy", Config=parts)
part = s3.get_object(Bucket="boto3", Key="copy", Range="bytes=50000000-50000099")
with open(large, "rb") as file:
    file.seek(50_000_000)
    assert part["Body"].read() == file.read(100)

for at in range(25):
    s3.put_object(Bucket="boto3", Key=f"small/{at:02}", Body=b"x" * at, ChecksumAlgorithm="SHA256")
pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="boto3", Prefix="small/", PaginationConfig={"PageSize": 10}))
assert [len(page["Contents"]) for page in pages] == [10, 10, 5]
assert [one["Prefix"] for one in s3.list_objects_v2(Bucket="boto3", Delimiter="/")["CommonPrefixes"]] == ["dir/", "small/"]

target = {"Bucket": "boto3", "Key": "presigned"}
put = urllib.request.Request(s3.generate_presigned_url("put_object", Params=target), data=b"by url", method="PUT")
assert urllib.request.urlopen(put).status == 200
assert urllib.request.urlopen(s3.generate_presigned_url("get_object", Params=target)).read() == b"by url"

failing("NoSuchKey", s3.get_object, Bucket="boto3", Key="nothing")
failing("BucketNotEmpty", s3.delete_bucket, Bucket="boto3")
keys = [one["Key"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="boto3") for one in page["Contents"]]
deleted = s3.delete_objects(Bucket="boto3", Delete={"Objects": [{"Key": key} for key in keys]})
assert len(deleted["Deleted"]) == len(keys) and "Errors" not in deleted, deleted
s3.delete_bucket(Bucket="boto3")
