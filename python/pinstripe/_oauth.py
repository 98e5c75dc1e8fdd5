"""OAuth: the address that a platform sends its accounts to, and what follows from it."""

from . import _core
from ._error import AuthenticationError
from ._object import default_requestor


def with_client_id(params, requestor):
    if params.get("client_id"):
        return params
    client_id = requestor.option("client_id")
    if not client_id:
        raise AuthenticationError(
            'No client_id provided. (HINT: set your client_id using "pinstripe.client_id = <CLIENT-ID>"). You can find '
            "your client_ids in your Stripe dashboard, after registering your account as a platform."
        )
    return {**params, "client_id": client_id}


def authorize_url(requestor, express, params):
    from urllib.parse import quote

    params = {**with_client_id(params, requestor), "response_type": params.get("response_type") or "code"}
    base = requestor.option("connect_base") or "https://connect.stripe.com"
    pairs = [f"{quote(name)}={quote(text, safe='')}" for name, text in flat(params)]
    return f"{base.rstrip('/')}{'/express' if express else ''}/oauth/authorize?{'&'.join(pairs)}"


def flat(params, prefix=""):
    """(name, text) pairs of nested params, as the form has them."""
    for key, value in params.items() if isinstance(params, dict) else enumerate(params):
        name = f"{prefix}[{key}]" if prefix else str(key)
        if isinstance(value, (dict, list, tuple)):
            yield from flat(value, name)
        elif value is not None:
            yield name, str(value).lower() if isinstance(value, bool) else str(value)


def call(requestor, name, params, options):
    return requestor.call(_core.resolve("oauth", name), (), params, options)


async def call_async(requestor, name, params, options):
    return await requestor.call_async(_core.resolve("oauth", name), (), params, options)


class OAuth:
    @staticmethod
    def authorize_url(express=False, **params):
        return authorize_url(default_requestor(), express, params)

    @staticmethod
    def token(api_key=None, **params):
        return call(default_requestor(), "token", params, {"api_key": api_key})

    @staticmethod
    async def token_async(api_key=None, **params):
        return await call_async(default_requestor(), "token", params, {"api_key": api_key})

    @staticmethod
    def deauthorize(api_key=None, **params):
        requestor = default_requestor()
        return call(requestor, "deauthorize", with_client_id(params, requestor), {"api_key": api_key})

    @staticmethod
    async def deauthorize_async(api_key=None, **params):
        requestor = default_requestor()
        return await call_async(requestor, "deauthorize", with_client_id(params, requestor), {"api_key": api_key})


class OAuthService:
    """client.oauth"""

    def __init__(self, requestor):
        self._requestor = requestor

    def authorize_url(self, params=None, options=None):
        options = dict(options or {})
        return authorize_url(self._requestor, options.pop("express", False), dict(params or {}))

    def token(self, params, options=None):
        return call(self._requestor, "token", params, options)

    async def token_async(self, params, options=None):
        return await call_async(self._requestor, "token", params, options)

    def deauthorize(self, params, options=None):
        return call(self._requestor, "deauthorize", with_client_id(params, self._requestor), options)

    async def deauthorize_async(self, params, options=None):
        return await call_async(self._requestor, "deauthorize", with_client_id(params, self._requestor), options)
