"""pinstripe.error: the exceptions."""

from . import _error, oauth_error

globals().update({name: value for name, value in vars(_error).items() if isinstance(value, type)})
__all__ = ["oauth_error", *(name for name, value in list(globals().items()) if isinstance(value, type))]
