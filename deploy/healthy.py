"""A container's health check: `python healthy.py URL` ends with 0 when the page there answers 200.

It only ever asks this same container, so it does not check whose certificate it is.
"""

import ssl
import sys
import urllib.request

here = ssl.create_default_context()
here.check_hostname = False
here.verify_mode = ssl.CERT_NONE
direct = urllib.request.build_opener(
    urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=here)
)
try:
    with direct.open(sys.argv[1], timeout=5) as answer:
        sys.exit(answer.status != 200)
except OSError as error:
    sys.exit(f"{sys.argv[1]}: {error}")
