"""OAuth: the address that a platform sends its accounts to, and what follows from it."""

from . import _core
from ._error import AuthenticationError, raise_error
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
    handle = requestor.config.handle
    reply = _core.oauth_authorize_url(handle, with_client_id(params, requestor), bool(express))
    if not reply.ok:
        raise_error(reply)
    return reply.object(requestor, None, None)


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
