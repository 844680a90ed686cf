"""Has botocore talk to an S3 endpoint in every way that it signs. One line of JSON for each step: its name, and what came of it.

usage: s3_botocore.py PORT ACCESS_KEY SECRET_KEY
"""

import io
import json
import socket
import sys
import urllib.error
import urllib.request

import botocore.session
from botocore.client import Config
from botocore.exceptions import ClientError

port, access_key, secret_key = int(sys.argv[1]), sys.argv[2], sys.argv[3]

# Every host is this one: bucket.s3.test is in no DNS.
real = socket.getaddrinfo
socket.getaddrinfo = lambda host, service, *rest, **named: real("127.0.0.1", service, *rest, **named)

KEY = "dir//a b+c/\u00e9(1)!*'~=&?#%/./x.jpg"
BODY = bytes(range(256)) * 512


def client(version, style, secret=secret_key, **more):
    config = Config(
        signature_version=version,
        s3={"addressing_style": style, **more},
        retries={"total_max_attempts": 1},
        parameter_validation=True,
    )
    return botocore.session.get_session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=f"http://s3.test:{port}",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        config=config,
    )


def step(name, call):
    try:
        outcome = call()
    except ClientError as error:
        outcome = error.response["Error"]["Code"]
    except urllib.error.HTTPError as error:
        outcome = error.code
    print(json.dumps([name, outcome]), flush=True)


def put_and_get(s3, body, **more):
    s3.put_object(Bucket="photos", Key=KEY, Body=body, Metadata={"a": "two  words"}, ContentType="image/jpeg", **more)
    return s3.get_object(Bucket="photos", Key=KEY)["Body"].read() == BODY


def listed(s3):
    keys = [each["Key"] for each in s3.list_objects(Bucket="photos", Prefix="dir//a b+c").get("Contents", [])]
    return keys == [KEY]


def fetch(url, method="GET", body=None, headers=None):
    request = urllib.request.Request(url, data=body, method=method, headers=headers or {})
    with urllib.request.urlopen(request) as answer:
        return answer.read() == BODY if method == "GET" else answer.status


def presigned(s3):
    params = {"Bucket": "photos", "Key": KEY}
    put = s3.generate_presigned_url("put_object", Params=params, ExpiresIn=60)
    # Without a type it would send one of its own, which version 2 signs.
    fetch(put, "PUT", BODY, {"Content-Type": ""})
    get = s3.generate_presigned_url(
        "get_object", Params={**params, "ResponseContentType": "text/plain; charset=utf-8"}, ExpiresIn=60
    )
    return fetch(get)


def altered(s3):
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "photos", "Key": KEY}, ExpiresIn=60)
    return fetch(url.replace("x.jpg", "y.jpg"))


def posted(s3, content):
    post = s3.generate_presigned_post(
        "photos",
        "up/${filename}",
        Fields={"acl": "private"},
        Conditions=[{"acl": "private"}, ["content-length-range", 1, 10]],
        ExpiresIn=60,
    )
    boundary = "----boundary"
    form = io.BytesIO()
    for name, value in post["fields"].items():
        form.write(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    form.write(f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'.encode())
    form.write(content + f"\r\n--{boundary}--\r\n".encode())
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    return fetch(post["url"], "POST", form.getvalue(), headers)


for version in ("s3v4", "s3"):
    for style in ("path", "virtual"):
        s3 = client(version, style)
        where = f"{version} {style}"
        step(f"{where} put and get", lambda: put_and_get(s3, BODY))
        step(f"{where} put and get a stream", lambda: put_and_get(s3, io.BytesIO(BODY)))
        step(f"{where} list", lambda: listed(s3))
        step(f"{where} sub-resource", lambda: len(s3.get_object(Bucket="photos", Key=KEY, VersionId="3", PartNumber=1)["ETag"]))
        step(f"{where} presigned", lambda: presigned(s3))
        step(f"{where} presigned, altered", lambda: altered(s3))
        step(f"{where} form", lambda: posted(s3, b"bytes"))
        step(f"{where} form, too large", lambda: posted(s3, b"more than ten bytes"))
    wrong = client(version, "path", secret="wrong")
    step(f"{version} wrong secret", lambda: put_and_get(wrong, BODY))
