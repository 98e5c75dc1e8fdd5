"""pinstripe.oauth_error: a class for each word that OAuth answers."""

from ._error import OAuthError

_NAMES = "InvalidClient InvalidGrant InvalidRequest InvalidScope UnsupportedGrantType UnsupportedResponseType"
for _name in _NAMES.split():
    globals()[f"{_name}Error"] = type(f"{_name}Error", (OAuthError,), {"__module__": __name__})
