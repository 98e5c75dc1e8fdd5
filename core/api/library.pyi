# What the stubs have beside the description: see stubs.py. Mypy does not look into them for errors of their own: a
# field wins over a method of its name, which no class hierarchy can say.
# mypy: ignore-errors
import datetime
import decimal
import io
import os
from types import TracebackType
from typing import (
    Any,
    AsyncIterator,
    Awaitable,
    Callable,
    ClassVar,
    Dict,
    Generic,
    ItemsView,
    Iterator,
    KeysView,
    List,
    Literal,
    Mapping,
    Optional,
    Protocol,
    Sequence,
    Tuple,
    TypeVar,
    Union,
    ValuesView,
    overload,
)

import pinstripe._objects as _o
import pinstripe._services as _services
import pinstripe.events as _events
import pinstripe.v2.core as _v2_core
from typing_extensions import NotRequired, ReadOnly, Self, TypedDict

T = TypeVar("T")
U = TypeVar("U")
Decimal = decimal.Decimal
Time = Union[int, datetime.datetime, datetime.date]
Number = Union[decimal.Decimal, int, float, str]
File = Any
Items = Union[List[T], Tuple[T, ...]]
WebhookPayload = Union[str, bytes, bytearray]
Text = Union[str, bytes, None]
Secrets = Union[str, bytes, Sequence[Union[str, bytes]], None]

Progress = Callable[[int, Optional[int]], object]

class _Write(Protocol):
    def write(self, piece: bytes, /) -> object: ...

Writer = Union[Callable[[bytes], object], _Write]

class Unset: ...

UNSET: Unset

class Range(TypedDict, Generic[T], total=False):
    gt: T
    gte: T
    lt: T
    lte: T

# A Range as params take it: one of ints is one of times, too.
class _Bounds(TypedDict, Generic[T], total=False):
    gt: ReadOnly[T]
    gte: ReadOnly[T]
    lt: ReadOnly[T]
    lte: ReadOnly[T]

class RequestOptions(TypedDict, total=False):
    api_key: Optional[str]
    stripe_version: Optional[str]
    stripe_account: Optional[str]
    stripe_context: Union[str, StripeContext, None]
    max_network_retries: Optional[int]
    idempotency_key: Optional[str]
    content_type: Optional[str]
    headers: Optional[Mapping[str, str]]
    timeout: Optional[float]
    deadline: Optional[float]
    max_retries: Optional[int]
    # Of uploads and downloads.
    progress: Optional[Progress]
    save_to: Union[str, "os.PathLike[str]", None]
    write_to: Optional[Writer]
    max_body: Optional[int]

class BaseAddresses(TypedDict, total=False):
    api: str
    connect: str
    files: str
    meter_events: str

class AppInfo(TypedDict):
    name: str
    partner_id: NotRequired[Optional[str]]
    url: NotRequired[Optional[str]]
    version: NotRequired[Optional[str]]

# Objects

class StripeObject:
    OBJECT_NAME: ClassVar[str]
    __hash__: ClassVar[None]
    def __init__(
        self,
        id: Optional[str] = None,
        api_key: Optional[str] = None,
        stripe_version: Optional[str] = None,
        stripe_account: Optional[str] = None,
        last_response: Optional[StripeResponse] = None,
        **params: Any,
    ) -> None: ...
    def __getitem__(self, name: str) -> Any: ...
    def __setitem__(self, name: str, value: Any) -> None: ...
    def __delitem__(self, name: str) -> None: ...
    def __contains__(self, name: object) -> bool: ...
    def __iter__(self) -> Iterator[Any]: ...
    def to_dict(self, recursive: bool = True, for_json: bool = False) -> Dict[str, Any]: ...
    def get(self, name: str, default: Any = None) -> Any: ...
    def keys(self) -> Any: ...
    def values(self) -> Any: ...
    def items(self) -> Any: ...
    @property
    def last_response(self) -> Optional[StripeResponse]: ...
    @property
    def api_key(self) -> Optional[str]: ...
    @property
    def stripe_account(self) -> Optional[str]: ...
    @property
    def stripe_context(self) -> Optional[str]: ...
    @property
    def stripe_version(self) -> Optional[str]: ...
    @classmethod
    def construct_from(
        cls,
        values: Any,
        key: Optional[str],
        stripe_version: Optional[str] = None,
        stripe_account: Optional[str] = None,
        last_response: Optional[StripeResponse] = None,
        *,
        api_mode: str = "V1",
    ) -> Self: ...
    def refresh_from(
        self,
        values: Any,
        api_key: Optional[str] = None,
        partial: Optional[bool] = False,
        stripe_version: Optional[str] = None,
        stripe_account: Optional[str] = None,
        last_response: Optional[StripeResponse] = None,
        *,
        api_mode: str = "V1",
    ) -> None: ...
    def update(self, values: Mapping[str, Any]) -> None: ...
    def serialize(self, previous: Optional[Mapping[str, Any]] = None) -> Dict[str, Any]: ...

class UntypedStripeObject(StripeObject, Generic[T]):
    def __getitem__(self, name: str) -> T: ...
    def __getattr__(self, name: str) -> T: ...
    def __setattr__(self, name: str, value: T) -> None: ...
    def __delattr__(self, name: str) -> None: ...
    def __iter__(self) -> Iterator[str]: ...
    @overload
    def get(self, name: str) -> Optional[T]: ...
    @overload
    def get(self, name: str, default: U) -> Union[T, U]: ...
    def keys(self) -> KeysView[str]: ...
    def values(self) -> ValuesView[T]: ...
    def items(self) -> ItemsView[str, T]: ...

class APIResource(StripeObject):
    @classmethod
    def class_url(cls) -> str: ...
    def instance_url(self) -> str: ...
    def refresh(self) -> Self: ...
    async def refresh_async(self) -> Self: ...
    def save(self, idempotency_key: Optional[str] = None) -> Self: ...

class ErrorObject(StripeObject):
    charge: Optional[str]
    code: Optional[str]
    decline_code: Optional[str]
    advice_code: Optional[str]
    doc_url: Optional[str]
    message: Optional[str]
    network_advice_code: Optional[str]
    network_decline_code: Optional[str]
    param: Optional[str]
    request_log_url: Optional[str]
    type: Optional[str]
    user_message: Optional[str]
    payment_intent: Optional[_o.PaymentIntent]
    payment_method: Optional[_o.PaymentMethod]
    payment_method_type: Optional[str]
    setup_intent: Optional[_o.SetupIntent]
    source: Any

class _OAuthErrorObject(StripeObject):
    error: Optional[str]
    error_description: Optional[str]

class DeletedObject(StripeObject):
    id: str
    object: str

class AnyIterator(Generic[T]):
    def __iter__(self) -> Iterator[T]: ...
    def __next__(self) -> T: ...
    def __aiter__(self) -> AsyncIterator[T]: ...
    async def __anext__(self) -> T: ...

class ListObject(StripeObject, Generic[T]):
    object: Literal["list"]
    data: List[T]
    has_more: bool
    url: str
    def __iter__(self) -> Iterator[T]: ...
    def __len__(self) -> int: ...
    def __reversed__(self) -> Iterator[T]: ...
    @property
    def is_empty(self) -> bool: ...
    def auto_paging_iter(self) -> AnyIterator[T]: ...
    def list(self, **params: Any) -> Self: ...
    async def list_async(self, **params: Any) -> Self: ...
    def create(self, **params: Any) -> T: ...
    async def create_async(self, **params: Any) -> T: ...
    def retrieve(self, id: str, **params: Any) -> T: ...
    async def retrieve_async(self, id: str, **params: Any) -> T: ...
    def next_page(self, **params: Any) -> Self: ...
    async def next_page_async(self, **params: Any) -> Self: ...
    def previous_page(self, **params: Any) -> Self: ...
    async def previous_page_async(self, **params: Any) -> Self: ...

class SearchResultObject(StripeObject, Generic[T]):
    object: Literal["search_result"]
    data: List[T]
    has_more: bool
    next_page: Optional[str]
    url: str
    total_count: int
    def __iter__(self) -> Iterator[T]: ...
    def __len__(self) -> int: ...
    @property
    def is_empty(self) -> bool: ...
    def auto_paging_iter(self) -> AnyIterator[T]: ...
    def search(self, **params: Any) -> Self: ...
    async def search_async(self, **params: Any) -> Self: ...
    def next_search_result_page(self, **params: Any) -> Self: ...
    async def next_search_result_page_async(self, **params: Any) -> Self: ...

class V2ListObject(StripeObject, Generic[T]):
    data: List[T]
    next_page_url: Optional[str]
    def __iter__(self) -> Iterator[T]: ...
    def __len__(self) -> int: ...
    def __reversed__(self) -> Iterator[T]: ...
    @property
    def is_empty(self) -> bool: ...
    def auto_paging_iter(self) -> AnyIterator[T]: ...

def convert_to_stripe_object(
    resp: Any,
    api_key: Optional[str] = None,
    stripe_version: Optional[str] = None,
    stripe_account: Optional[str] = None,
    params: Any = None,
    klass_: Any = None,
    *,
    api_mode: str = "V1",
) -> Any: ...

# Responses

class StripeResponseBase:
    code: int
    headers: Mapping[str, str]
    @property
    def idempotency_key(self) -> Optional[str]: ...
    @property
    def request_id(self) -> Optional[str]: ...

class StripeResponse(StripeResponseBase):
    body: str
    def __init__(self, body: str, code: int, headers: Mapping[str, str]) -> None: ...
    @property
    def data(self) -> Any: ...

class StripeStreamResponse(StripeResponseBase):
    io: io.IOBase
    def read(self) -> bytes: ...

class StripeStreamResponseAsync(StripeResponseBase):
    def stream(self) -> AsyncIterator[bytes]: ...
    async def read_async(self) -> bytes: ...

# Exceptions

class StripeError(Exception):
    http_body: Optional[str]
    http_status: Optional[int]
    json_body: Any
    headers: Mapping[str, str]
    code: Optional[str]
    request_id: Optional[str]
    outcome: Literal["not_sent", "rejected", "unknown"]
    attempts: int
    idempotency_key: Optional[str]
    kind: Optional[str]
    def __init__(
        self,
        message: Optional[str] = None,
        http_body: Union[str, bytes, None] = None,
        http_status: Optional[int] = None,
        json_body: Any = None,
        headers: Optional[Mapping[str, str]] = None,
        code: Optional[str] = None,
    ) -> None: ...
    @property
    def user_message(self) -> Optional[str]: ...
    @property
    def message(self) -> Optional[str]: ...
    @property
    def error(self) -> Optional[ErrorObject]: ...

class APIError(StripeError): ...
class ConflictError(APIError): ...

class APIConnectionError(StripeError):
    should_retry: bool
    def __init__(
        self,
        message: Optional[str],
        http_body: Union[str, bytes, None] = None,
        http_status: Optional[int] = None,
        json_body: Any = None,
        headers: Optional[Mapping[str, str]] = None,
        code: Optional[str] = None,
        should_retry: bool = False,
    ) -> None: ...

class StripeErrorWithParamCode(StripeError):
    param: Optional[str]

class CardError(StripeErrorWithParamCode):
    def __init__(
        self,
        message: Optional[str],
        param: Optional[str],
        code: Optional[str],
        http_body: Union[str, bytes, None] = None,
        http_status: Optional[int] = None,
        json_body: Any = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> None: ...

class InvalidRequestError(StripeErrorWithParamCode):
    def __init__(
        self,
        message: Optional[str],
        param: Optional[str],
        code: Optional[str] = None,
        http_body: Union[str, bytes, None] = None,
        http_status: Optional[int] = None,
        json_body: Any = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> None: ...

class IdempotencyError(StripeError): ...
class AuthenticationError(StripeError): ...
class PermissionError(StripeError): ...
class RateLimitError(StripeError): ...

class SignatureVerificationError(StripeError):
    sig_header: Optional[str]
    def __init__(self, message: str, sig_header: Optional[str], http_body: Union[str, bytes, None] = None) -> None: ...

class OAuthError(StripeError):
    def __init__(
        self,
        code: Optional[str],
        description: Optional[str],
        http_body: Union[str, bytes, None] = None,
        http_status: Optional[int] = None,
        json_body: Any = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> None: ...
    @property
    def error(self) -> Optional[_OAuthErrorObject]: ...

class _ErrorWithExtra(StripeError):
    def __init__(
        self,
        message: Optional[str] = None,
        http_body: Union[str, bytes, None] = None,
        http_status: Optional[int] = None,
        json_body: Any = None,
        headers: Optional[Mapping[str, str]] = None,
        code: Optional[str] = None,
        extra: Optional[str] = None,
    ) -> None: ...

class AlreadyCanceledError(StripeError): ...
class BlockedByStripeError(StripeError): ...

class CannotProceedError(_ErrorWithExtra):
    reason: Optional[str]

class CapabilityNotEnabledError(StripeError): ...
class ControlledByAlternateResourceError(StripeError): ...
class FeatureNotEnabledError(StripeError): ...
class FinancialAccountNotOpenError(StripeError): ...
class FxQuoteNeedsRefreshError(StripeError): ...
class InsufficientFundsError(StripeError): ...

class InvalidPaymentMethodError(_ErrorWithExtra):
    invalid_param: Optional[str]

class InvalidPayoutMethodError(StripeError): ...

class InvalidVaultedCredentialError(_ErrorWithExtra):
    invalid_param: Optional[str]

class NotCancelableError(StripeError): ...
class QuotaExceededError(StripeError): ...
class RecipientNotNotifiableError(StripeError): ...
class TemporarySessionExpiredError(StripeError): ...

class VerificationAttemptFailedError(_ErrorWithExtra):
    verification_status: Optional[str]

class VerificationExpiredError(_ErrorWithExtra):
    verification_status: Optional[str]

class VerificationNotInitiatedError(_ErrorWithExtra):
    verification_status: Optional[str]

# Clients

class StripeService: ...

class OAuthService:
    def authorize_url(
        self, params: Optional[Mapping[str, Any]] = None, options: Optional[Mapping[str, Any]] = None
    ) -> str: ...
    def token(self, params: Mapping[str, Any], options: Optional[RequestOptions] = None) -> StripeObject: ...
    async def token_async(
        self, params: Mapping[str, Any], options: Optional[RequestOptions] = None
    ) -> StripeObject: ...
    def deauthorize(self, params: Mapping[str, Any], options: Optional[RequestOptions] = None) -> StripeObject: ...
    async def deauthorize_async(
        self, params: Mapping[str, Any], options: Optional[RequestOptions] = None
    ) -> StripeObject: ...

class OAuth:
    @staticmethod
    def authorize_url(express: bool = False, **params: Any) -> str: ...
    @staticmethod
    def token(api_key: Optional[str] = None, **params: Any) -> StripeObject: ...
    @staticmethod
    async def token_async(api_key: Optional[str] = None, **params: Any) -> StripeObject: ...
    @staticmethod
    def deauthorize(api_key: Optional[str] = None, **params: Any) -> StripeObject: ...
    @staticmethod
    async def deauthorize_async(api_key: Optional[str] = None, **params: Any) -> StripeObject: ...

class CallEvent(Dict[str, Any]):
    kind: str
    level: str
    operation: str
    method: str
    path: str
    attempt: int
    status: int
    duration: float
    request_id: str
    message: str
    line: str

class StripeClient(_services.V1Services):
    def __init__(
        self,
        api_key: Optional[str] = None,
        *,
        stripe_account: Optional[str] = None,
        stripe_context: Union[str, StripeContext, None] = None,
        stripe_version: Optional[str] = None,
        base_addresses: Optional[BaseAddresses] = None,
        client_id: Optional[str] = None,
        verify_ssl_certs: bool = True,
        proxy: Optional[str] = None,
        max_network_retries: Optional[int] = None,
        http_client: Optional[HTTPClient] = None,
        max_retries: Optional[int] = None,
        timeout: Optional[float] = None,
        connect_timeout: Optional[float] = None,
        deadline: Optional[float] = None,
        api_base: Optional[str] = None,
        files_base: Optional[str] = None,
        connect_base: Optional[str] = None,
        meter_events_base: Optional[str] = None,
        ca_file: Optional[str] = None,
        ca_path: Optional[str] = None,
        ca_data: Optional[str] = None,
        app_info: Optional[AppInfo] = None,
        headers: Optional[Mapping[str, str]] = None,
        strict: Optional[bool] = None,
        max_body: Optional[int] = None,
        rate_limit: Optional[float] = None,
        log: Optional[Callable[[CallEvent], object]] = None,
        on_request: Optional[Callable[[CallEvent], object]] = None,
        on_response: Optional[Callable[[CallEvent], object]] = None,
        transport: Any = None,
    ) -> None: ...
    @property
    def v1(self) -> _services.V1Services: ...
    @property
    def v2(self) -> _services.V2Services: ...
    @property
    def oauth(self) -> OAuthService: ...
    def raw_request(self, method_: str, url_: str, **params: Any) -> StripeResponse: ...
    async def raw_request_async(self, method_: str, url_: str, **params: Any) -> StripeResponse: ...
    def download(
        self,
        url: str,
        *,
        save_to: Union[str, "os.PathLike[str]", None] = None,
        write_to: Optional[Writer] = None,
        progress: Optional[Progress] = None,
        max_body: Optional[int] = None,
        **options: Any,
    ) -> bytes: ...
    async def download_async(
        self,
        url: str,
        *,
        save_to: Union[str, "os.PathLike[str]", None] = None,
        write_to: Optional[Writer] = None,
        progress: Optional[Progress] = None,
        max_body: Optional[int] = None,
        **options: Any,
    ) -> bytes: ...
    def meter_stream(self, max_age: float = 1, max_pending: int = 10000) -> MeterStream: ...
    def deserialize(self, resp: Any, params: Any = None, *, api_mode: str = "V1") -> Any: ...
    def construct_event(
        self,
        payload: WebhookPayload,
        sig_header: Text,
        secret: Secrets,
        tolerance: Optional[float] = 300,
        *,
        now: Optional[float] = None,
    ) -> _o.Event: ...
    def construct_event_without_verification(self, payload: WebhookPayload) -> _o.Event: ...
    def parse_event_notification(
        self,
        raw: WebhookPayload,
        sig_header: Text,
        secret: Secrets,
        tolerance: Optional[float] = 300,
        *,
        now: Optional[float] = None,
    ) -> EventNotification: ...
    def parse_event_notification_without_verification(self, payload: WebhookPayload) -> EventNotification: ...
    def notification_handler(
        self, webhook_secret: Secrets, fallback_callback: Fallback
    ) -> StripeEventNotificationHandler: ...
    def notification_handler_without_verification(
        self, fallback_callback: Fallback
    ) -> StripeEventNotificationHandlerWithoutVerification: ...
    def async_notification_handler(
        self, webhook_secret: Secrets, fallback_callback: AsyncFallback
    ) -> AsyncStripeEventNotificationHandler: ...
    def async_notification_handler_without_verification(
        self, fallback_callback: AsyncFallback
    ) -> AsyncStripeEventNotificationHandlerWithoutVerification: ...
    def with_stripe_context(self, stripe_context: Union[str, StripeContext, None]) -> StripeClient: ...

def set_app_info(
    name: str, partner_id: Optional[str] = None, url: Optional[str] = None, version: Optional[str] = None
) -> None: ...

class HTTPClient:
    name: ClassVar[str]
    def __init__(
        self,
        verify_ssl_certs: bool = True,
        proxy: Union[str, Mapping[str, str], None] = None,
        async_fallback_client: Optional[HTTPClient] = None,
        timeout: Any = None,
        **others: Any,
    ) -> None: ...
    def request(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> Tuple[Any, int, Mapping[str, str]]: ...
    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: Any = None
    ) -> Tuple[Any, int, Mapping[str, str]]: ...
    async def sleep_async(self, secs: float) -> None: ...
    def close(self) -> None: ...
    async def close_async(self) -> None: ...

class _Shell(HTTPClient):
    def __init__(
        self,
        timeout: Any = None,
        session: Any = None,
        verify_ssl_certs: bool = True,
        proxy: Union[str, Mapping[str, str], None] = None,
        async_fallback_client: Optional[HTTPClient] = None,
        **others: Any,
    ) -> None: ...

class RequestsClient(_Shell): ...
class HTTPXClient(_Shell): ...
class AIOHTTPClient(_Shell): ...
class PycurlClient(_Shell): ...
class UrllibClient(_Shell): ...
class UrlFetchClient(_Shell): ...

def new_default_http_client(*args: Any, **keywords: Any) -> HTTPClient: ...

# Meters

class MeterStream:
    def add(self, event: Mapping[str, Any]) -> Optional[Exception]: ...
    async def add_async(self, event: Mapping[str, Any]) -> Optional[Exception]: ...
    def flush(self) -> None: ...
    async def flush_async(self) -> None: ...
    def pending(self) -> int: ...
    def skip(self) -> List[Dict[str, Any]]: ...
    def close(self) -> None: ...
    async def close_async(self) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None: ...
    async def __aenter__(self) -> Self: ...
    async def __aexit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None: ...

# The sandbox

class Sandbox:
    def __init__(
        self, *, port: Optional[int] = None, listen: Optional[str] = None, seed: Optional[int] = None
    ) -> None: ...
    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: Optional[type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None: ...
    def close(self) -> None: ...
    @property
    def url(self) -> str: ...
    @property
    def key(self) -> str: ...
    def client(self, api_key: Optional[str] = None, **options: Any) -> StripeClient: ...
    def reset(self) -> None: ...
    def snapshot(self, path: Optional[str] = None) -> str: ...
    def restore(self, path: str) -> None: ...
    def seed(self, fixtures: Union[str, Dict[str, Any]]) -> StripeObject: ...
    def clock(self, **change: Any) -> UntypedStripeObject[Any]: ...
    def fault(self, **rule: Any) -> UntypedStripeObject[Any]: ...
    def faults(self) -> List[UntypedStripeObject[Any]]: ...
    def clear_faults(self, id: Optional[str] = None) -> None: ...
    def latency(self, least: Optional[float] = None, most: Optional[float] = None) -> StripeObject: ...
    def rate_limit(self, rate: Optional[float]) -> StripeObject: ...
    def requests(self, **query: Any) -> List[UntypedStripeObject[Any]]: ...
    @property
    def webhook_secret(self) -> str: ...
    def webhooks(self) -> Iterator[Tuple[str, str]]: ...
    def listen(self, listener: Callable[[str, str], object], enabled_events: Optional[List[str]] = None) -> str: ...
    def flush(self, listener: Optional[Callable[[str, str], object]] = None) -> Dict[str, int]: ...
    def deliveries(self, **query: Any) -> List[UntypedStripeObject[Any]]: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def duplicate(self, **match: Any) -> int: ...
    def reorder(self, **match: Any) -> int: ...
    def drop(self, **match: Any) -> int: ...
    def resend(self, event: str, destination: Optional[str] = None) -> int: ...
    def helpers(self) -> List[str]: ...
    def run(self, name: str, id: str, **params: Any) -> Any: ...
    def move(self, object: str, id: str, set: Mapping[str, Any], event: Optional[str] = None) -> Any: ...

def sandbox(*, port: Optional[int] = None, listen: Optional[str] = None, seed: Optional[int] = None) -> Sandbox: ...

# Events

class Webhook:
    DEFAULT_TOLERANCE: int
    @staticmethod
    def construct_event(
        payload: WebhookPayload,
        sig_header: Text,
        secret: Secrets,
        tolerance: Optional[float] = 300,
        api_key: Optional[str] = None,
        *,
        now: Optional[float] = None,
    ) -> _o.Event: ...
    @staticmethod
    def construct_event_without_verification(payload: WebhookPayload) -> _o.Event: ...

class WebhookSignature:
    EXPECTED_SCHEME: str
    @classmethod
    def generate_signature_header(
        cls, payload: WebhookPayload, secret: Union[str, bytes], timestamp: Optional[int] = None
    ) -> str: ...
    @classmethod
    def verify_header(
        cls,
        payload: WebhookPayload,
        header: Text,
        secret: Secrets,
        tolerance: Optional[float] = None,
        *,
        now: Optional[float] = None,
    ) -> bool: ...

class StripeContext:
    def __init__(self, segments: Optional[List[str]] = None) -> None: ...
    @staticmethod
    def parse(context_str: str) -> StripeContext: ...
    def push(self, segment: str) -> StripeContext: ...
    def pop(self) -> StripeContext: ...

class _RelatedObject(StripeObject):
    id: str
    type: str
    url: str

class _ThinEvent(_v2_core.Event): ...

class EventNotification:
    id: str
    type: str
    created: str
    livemode: bool
    object: str
    context: Optional[StripeContext]
    reason: Any
    related_object: Optional[_RelatedObject]
    @staticmethod
    def from_json(payload: Union[WebhookPayload, Dict[str, Any]], client: StripeClient) -> EventNotification: ...
    def to_dict(self) -> Dict[str, Any]: ...
    def fetch_event(self) -> _v2_core.Event: ...
    async def fetch_event_async(self) -> _v2_core.Event: ...
    def fetch_related_object(self) -> Any: ...
    async def fetch_related_object_async(self) -> Any: ...

class UnknownEventNotification(EventNotification): ...

class UnhandledNotificationDetails:
    is_known_event_type: bool

Fallback = Callable[[EventNotification, StripeClient, UnhandledNotificationDetails], None]
AsyncFallback = Callable[[EventNotification, StripeClient, UnhandledNotificationDetails], Awaitable[None]]

class _Handler:
    @property
    def registered_event_types(self) -> List[str]: ...

class _SyncHandler(_Handler, _events._SyncRegistration):
    def pre_handle(
        self, func: Callable[[EventNotification, StripeClient], bool]
    ) -> Callable[[EventNotification, StripeClient], bool]: ...

class _AsyncHandler(_Handler, _events._AsyncRegistration):
    def pre_handle(
        self, func: Callable[[EventNotification, StripeClient], Awaitable[bool]]
    ) -> Callable[[EventNotification, StripeClient], Awaitable[bool]]: ...

class StripeEventNotificationHandler(_SyncHandler):
    def __init__(self, client: StripeClient, webhook_secret: Secrets, fallback_callback: Fallback) -> None: ...
    def handle(self, webhook_body: WebhookPayload, sig_header: Text) -> None: ...
    @staticmethod
    def without_verification(
        client: StripeClient, fallback_callback: Fallback
    ) -> StripeEventNotificationHandlerWithoutVerification: ...

class StripeEventNotificationHandlerWithoutVerification(_SyncHandler):
    def __init__(self, client: StripeClient, fallback_callback: Fallback) -> None: ...
    def handle(self, webhook_body: WebhookPayload) -> None: ...

class AsyncStripeEventNotificationHandler(_AsyncHandler):
    def __init__(self, client: StripeClient, webhook_secret: Secrets, fallback_callback: AsyncFallback) -> None: ...
    async def handle_async(self, webhook_body: WebhookPayload, sig_header: Text) -> None: ...
    @staticmethod
    def without_verification(
        client: StripeClient, fallback_callback: AsyncFallback
    ) -> AsyncStripeEventNotificationHandlerWithoutVerification: ...

class AsyncStripeEventNotificationHandlerWithoutVerification(_AsyncHandler):
    def __init__(self, client: StripeClient, fallback_callback: AsyncFallback) -> None: ...
    async def handle_async(self, webhook_body: WebhookPayload) -> None: ...
