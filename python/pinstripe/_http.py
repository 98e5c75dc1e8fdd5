"""stripe-python's HTTP clients, by which programs set timeouts, proxies and transports. The core carries requests
whichever of these names is used; a class derived from HTTPClient with a `request` of its own carries them itself."""

from ._drive import Transport


class HTTPClient:
    name = "custom"

    def __init__(self, verify_ssl_certs=True, proxy=None, async_fallback_client=None, timeout=None, **others):
        from ._client import check_verification

        check_verification(verify_ssl_certs)
        if isinstance(proxy, dict):
            proxy = proxy.get("https") or proxy.get("http")
        if proxy is not None and not isinstance(proxy, str):
            raise ValueError(
                "Proxy(ies) must be specified as either a string URL or a dict() with string URL under "
                "the https and/or http "
                "keys."
            )
        self._verify_ssl_certs, self._proxy, self._timeout = verify_ssl_certs, proxy, timeout

    def request(self, method, url, headers, post_data=None):
        raise NotImplementedError("HTTPClient subclasses must implement `request`")

    def close(self):
        pass

    async def close_async(self):
        pass

    def join(self, options):
        """Adds what it says to a client's options; returns the transport that it is, or None."""
        if self._proxy:
            options["proxy"] = self._proxy
        for name, seconds in zip(("connect_timeout", "timeout"), timeouts(getattr(self, "_timeout", None))):
            if seconds is not None:
                options[name] = seconds
        return None if type(self).request is HTTPClient.request else Transport(self._send)

    def _send(self, request):
        body, status, headers = self.request(request.method.lower(), request.url, request.headers, request.body)
        return status, headers, body


def timeouts(timeout):
    """(connect, read) of a number, a pair, or an object with these names."""
    if timeout is None:
        return None, None
    if isinstance(timeout, (int, float)):
        return timeout, timeout
    if isinstance(timeout, tuple):
        return timeout
    connect = getattr(timeout, "connect", None)
    read = getattr(timeout, "read", None) or getattr(timeout, "total", None)
    return connect, read


class Shell(HTTPClient):
    """Stands for a client of the core's own, with the timeout of that name."""

    def __init__(
        self, timeout=None, session=None, verify_ssl_certs=True, proxy=None, async_fallback_client=None, **others
    ):
        super().__init__(verify_ssl_certs, proxy, async_fallback_client, timeout)


class RequestsClient(Shell):
    name = "requests"


class HTTPXClient(Shell):
    name = "httpx"


class AIOHTTPClient(Shell):
    name = "aiohttp"


class PycurlClient(Shell):
    name = "pycurl"


class UrllibClient(Shell):
    name = "urllib.request"


class UrlFetchClient(Shell):
    name = "urlfetch"


def new_default_http_client(*args, **keywords):
    return RequestsClient(*args, **keywords)
