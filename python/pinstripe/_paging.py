"""Iterating over all pages. From a page as it came, the core goes on (pinstripe._core.Pager): it asks for the next
page while half of this one is left. A page that was built or changed goes on through its own methods. An iterator
survives an error: the next step asks for that page again."""

from _thread import RLock
from itertools import chain

from . import _core, _drive
from ._error import StripeError
from ._object import ListObject, SearchResultObject, requestor_of, retrieve_params


class AnyIterator:
    """For `for` and for `async for`, but not both."""

    def __init__(self, items, items_async):
        self._items, self._items_async = items, items_async
        self._used = None

    def _use(self, how):
        if self._used not in (None, how):
            raise RuntimeError("AnyIterator error: cannot mix sync and async iteration")
        self._used = how

    def __iter__(self):
        self._use("sync")
        return self._items

    def __next__(self):
        self._use("sync")
        return next(self._items)

    def __aiter__(self):
        self._use("async")
        return self._items_async

    async def __anext__(self):
        self._use("async")
        return await self._items_async.__anext__()


def is_backward(page):
    params = retrieve_params(page)
    return params.get("ending_before") is not None and params.get("starting_after") is None


def can_go_on(page):
    """Whether the core can: it knows the call that the page came from, and nothing was changed."""
    reply = _core.state(page, "reply")
    return reply is not None and reply.status > 0 and not _core.state(page, "changed")


def more_follows(page):
    return bool(page.get("has_more") or page.get("next_page_url"))


def new_pager(page):
    return _core.Pager(requestor_of(page).config.handle, page)


def given(page):
    """The items of the page that iterating begins with."""
    data = page._data()
    return data[::-1] if is_backward(page) else data


def pages(page):
    if not can_go_on(page):
        return Built(page)
    return Driven(page) if requestor_of(page).config.is_driven or _drive.listener() else fast_pages(page)


def pages_async(page):
    return Driven(page) if can_go_on(page) else Built(page)


def fast_pages(page):
    items = given(page)
    if not more_follows(page):
        return iter(items)
    pager, half = new_pager(page), (len(items) + 1) // 2
    return chain(items[:half], ahead(pager), items[half:], pager)


def ahead(pager):
    """No item: asks for the next page. The items are not its own, as an exception of a signal would end it."""
    exchange = pager.exchange()
    if exchange:
        _core.plain_run(exchange, 0)
    yield from ()


class Driven:
    """For asyncio, and clients with hooks, a log or a transport. After a page that failed, the next step asks again."""

    def __init__(self, page):
        self.page, self.items, self.pager = page, iter(given(page)), None
        self.lock, self.left = RLock(), None  # `left`: a step's call, also of one that was cut off, whose page counts

    def __iter__(self):
        return self

    __aiter__ = __iter__

    def __next__(self):
        if self.lock._is_owned():
            raise RuntimeError(
                "this iterator is fetching its next page: a hook or a transport may not ask it for items"
            )
        with self.lock:
            while (item := next(self.items, END)) is END:
                if not self.turn():
                    raise StopIteration
            return item

    async def __anext__(self):
        while (item := next(self.items, END)) is END:
            if not await self.turn_async():
                raise StopAsyncIteration
        return item

    def begin(self):
        """What fetches the next page, or None."""
        if self.pager is None and more_follows(self.page):
            self.pager = new_pager(self.page)
        return self.pager and self.pager.exchange()

    def turn(self):
        exchange = self.begin()
        if exchange:
            _drive.run(requestor_of(self.page).config, exchange)
            self.items = iter(self.pager.feed())
        return exchange

    async def turn_async(self):
        import asyncio

        if self.left in _drive.lent:  # the step of another task, or of one that was cancelled
            await asyncio.sleep(0.005)
            return True
        if self.left:
            self.left = None
            try:
                self.items = iter(self.pager.feed())
                return True
            except StripeError:  # of having been cancelled
                pass
        exchange = self.begin()
        if exchange:
            self.left = exchange
            await _drive.run_async(requestor_of(self.page).config, exchange)
            if self.left is exchange:  # no other task has taken the page
                self.left = None
                self.items = iter(self.pager.feed())
        return exchange


END = object()


class Built(Driven):
    """From a page that was built or changed."""

    def turn(self):
        return more_follows(self.page) and self.go_on(steps(self.page)[0](self.page))

    async def turn_async(self):
        return more_follows(self.page) and self.go_on(await steps(self.page)[1](self.page))

    def go_on(self, page):
        self.page, self.items = page, iter(given(page))
        return True


def steps(page):
    """What gives the page after one that was built or changed, and its twin for asyncio."""
    if isinstance(page, SearchResultObject):
        return SearchResultObject.next_search_result_page, SearchResultObject.next_search_result_page_async
    if not isinstance(page, ListObject):
        return next_v2_page, next_v2_page_async
    if is_backward(page):
        return ListObject.previous_page, ListObject.previous_page_async
    return ListObject.next_page, ListObject.next_page_async


def next_v2_page(page):
    return requestor_of(page).request("GET", page["next_page_url"])


async def next_v2_page_async(page):
    return await requestor_of(page).request_async("GET", page["next_page_url"])
