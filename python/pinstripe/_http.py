"""stripe-python's HTTP clients, by which programs set timeouts, proxies and transports. The core carries requests
whichever of these names is used; a class derived from HTTPClient with a `request` or `request_async` of its own carries
them itself."""

from ._drive import Transport


class HTTPClient:
    name = "custom"
    # Of a subclass that does not call __init__, too.
    _verify_ssl_certs, _proxy, _timeout, _async_fallback_client = True, None, None, None

    def __init__(self, verify_ssl_certs=True, proxy=None, async_fallback_client=None, timeout=None, **others):
        if isinstance(proxy, dict):
            proxy = proxy.get("https") or proxy.get("http")
        if proxy is not None and not isinstance(proxy, str):
            what = "either a string URL or a dict() with string URL under the https and/or http keys"
            raise ValueError(f"Proxy(ies) must be specified as {what}.")
        self._verify_ssl_certs, self._proxy, self._timeout = verify_ssl_certs, proxy, timeout
        self._async_fallback_client = async_fallback_client

    def request(self, method, url, headers, post_data=None):
        raise NotImplementedError("HTTPClient subclasses must implement `request`")

    async def request_async(self, method, url, headers, post_data=None):
        if self._async_fallback_client is None:
            raise NotImplementedError("HTTPClient subclasses must implement `request_async`")
        return await self._async_fallback_client.request_async(method, url, headers, post_data)

    async def sleep_async(self, secs):
        import asyncio

        fallback = self._async_fallback_client
        await (fallback.sleep_async if fallback is not None else asyncio.sleep)(secs)

    def close(self):
        pass

    async def close_async(self):
        pass

    def has_own(self, method):
        return method in vars(self) or getattr(type(self), method) is not getattr(HTTPClient, method)

    def join(self, options):
        """Adds what it says to a client's options; returns the transport that it is, or None."""
        if hasattr(self, "request_with_retries") or hasattr(self, "request_with_retries_async"):
            raise TypeError(f"{type(self).__name__}: request_with_retries is never called; override request")
        fallback = self._async_fallback_client
        is_async = self.has_own("request_async") or (fallback is not None and fallback.has_own("request_async"))
        if self.has_own("request") or is_async:
            return Transport(self._send, None, self._send_async if is_async else None, self.sleep_async)
        from ._client import check_verification

        check_verification(self._verify_ssl_certs)
        if self._proxy:
            options["proxy"] = self._proxy
        for name, seconds in zip(("connect_timeout", "timeout"), timeouts(self._timeout)):
            if seconds is not None:
                options[name] = seconds
        return None

    def _send(self, request):
        body, status, headers = self.request(*arguments(request))
        return status, headers, body

    async def _send_async(self, request):
        body, status, headers = await self.request_async(*arguments(request))
        return status, headers, body


def arguments(request):
    """Of `request`, as stripe-python gives them: the data is text, but for an upload."""
    data, headers = request.body, request.headers
    if data is not None and not headers.get("Content-Type", "").startswith("multipart/"):
        data = data.decode()
    return request.method.lower(), request.url, headers, data


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

    def __init__(self, timeout=None, session=None, *others, **named):
        super().__init__(*others, timeout=timeout, **named)


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
