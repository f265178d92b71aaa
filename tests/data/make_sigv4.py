"""Writes sigv4_vectors.h: requests with random contents, and the signature that botocore gives them."""
import datetime
import random
import string
import sys
from urllib.parse import quote

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

R = random.Random(20240601)
CHARS = string.ascii_letters + string.digits + "-._~ !'()*+,;:@&=$%#?/\"<>[]{}|^`\\é😀\t"


def word(lo, hi, chars=CHARS):
    return "".join(R.choice(chars) for _ in range(R.randint(lo, hi)))


def c_string(s):
    return '"' + "".join(c if c not in '"\\?' and 32 <= ord(c) < 127 else "".join(f"\\{b:03o}" for b in c.encode())
                         for c in s) + '"'


def vector(i):
    when = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc) + datetime.timedelta(seconds=R.randrange(10**8))
    region = R.choice(["us-east-1", "eu-central-1", "auto", "garage"])
    service = R.choice(["s3", "s3", "s3", "sts"])
    access, secret = word(16, 20, string.ascii_uppercase + string.digits), word(40, 40, string.ascii_letters + "+/")
    token = word(200, 1500, string.ascii_letters + "+/=") if R.random() < 0.4 else None
    host = R.choice(["s3.amazonaws.com", "localhost:9000", "bucket.s3.eu-central-1.amazonaws.com", "127.0.0.1:8333"])
    path = "/" + quote(word(0, 60), safe="/-._~")
    query = {word(1, 12): word(0, 20) for _ in range(R.randint(0, 5))}
    pairs = sorted((quote(k, safe="-._~"), quote(v, safe="-._~")) for k, v in query.items())
    qs = "&".join(f"{k}={v}" for k, v in pairs)
    body = word(0, 200).encode()
    unsigned = service == "s3" and R.random() < 0.5
    headers = {"host": host}
    if R.random() < 0.5:
        headers["content-md5"] = word(24, 24, string.ascii_letters)
    if R.random() < 0.3:
        headers["range"] = f"bytes={R.randrange(1000)}-"
    for _ in range(R.randint(0, 4)):
        headers["x-amz-" + word(1, 10, string.ascii_lowercase + "-").strip("-") + "x"] = \
            word(0, 30, string.ascii_letters + "  ").strip()
    url = f"https://{host}{path}" + (f"?{qs}" if qs else "")
    req = AWSRequest(method=R.choice(["GET", "PUT", "HEAD", "POST", "DELETE"]), url=url, headers=headers, data=body)
    auth_cls = botocore.auth.S3SigV4Auth if service == "s3" else botocore.auth.SigV4Auth
    auth = auth_cls(Credentials(access, secret, token), service, region)
    if unsigned:
        req.context["payload_signing_enabled"] = False
        req.context["client_config"] = None
    botocore.auth.get_current_datetime = lambda *a, **k: when.replace(tzinfo=None)
    if service == "sts":    # a generic service encodes the path once more: only plain ones are of use there
        req.url = f"https://{host}/"
        path, qs = "/", ""
    auth.add_auth(req)
    head = {k.lower(): v for k, v in req.headers.items() if k.lower() != "authorization"}
    payload = head.get("x-amz-content-sha256") or auth.payload(req)
    rows = [(k, v) for k, v in head.items()]
    return (f"\t{{ {c_string(access)}, {c_string(secret)}, {c_string(region)}, {c_string(service)},\n"
            f"\t  {int(when.timestamp())}, {c_string(req.method)}, {c_string(path)}, {c_string(qs)}, {c_string(payload)},\n"
            f"\t  {{ " + ", ".join(f"{{ {c_string(k)}, {c_string(v)} }}" for k, v in rows) + f" }}, {len(rows)},\n"
            f"\t  {c_string(req.headers['Authorization'])} }},\n")


print(f"/* Made by tests/data/make_sigv4.py with botocore {botocore.__version__}. */")
print("static const struct vector {\n\tconst char *access, *secret, *region, *service;\n\tint64_t when;\n"
      "\tconst char *method, *path, *query, *payload;\n\tstruct sigv4_header h[12];\n\tsize_t nh;\n\tconst char *expect;\n"
      "} vectors[] = {")
for i in range(int(sys.argv[1]) if len(sys.argv) > 1 else 50):
    sys.stdout.write(vector(i))
print("};")
