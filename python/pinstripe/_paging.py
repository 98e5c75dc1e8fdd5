"""Iterating over all pages. From a page as it came, the core goes on (pinstripe._core.Pager): it asks for the next
page while half of this one is left. A page that was built or changed goes on through its own methods."""

from . import _core, _drive
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
    return _core.pager(requestor_of(page).config.handle, page)


def pages(page):
    config = requestor_of(page).config
    if not can_go_on(page):
        return slow_pages(page)
    return driven_pages(page, config) if config.is_driven or _drive.listener() else fast_pages(page)


def given(page):
    """The items of the page that iterating begins with."""
    data = page._data()
    return data[::-1] if is_backward(page) else data


def fast_pages(page):
    items, pager, more = given(page), None, more_follows(page)
    for at, item in enumerate(items):
        if more and pager is None and at * 2 >= len(items):
            pager = new_pager(page)
            pager.begin()
        yield item
    if more:
        yield from pager or new_pager(page)


def driven_pages(page, config):
    """For a client with hooks, a log or a transport."""
    yield from given(page)
    pager = new_pager(page) if more_follows(page) else None
    exchange = pager and pager.exchange()
    while exchange:
        _drive.run(config, exchange)
        yield from pager.feed()
        exchange = pager.exchange()


async def pages_async(page):
    for item in given(page):
        yield item
    if not can_go_on(page):
        async for item in slow_pages_async(page):
            yield item
        return
    config = requestor_of(page).config
    pager = new_pager(page) if more_follows(page) else None
    exchange = pager and pager.exchange()
    while exchange:
        await _drive.run_async(config, exchange)
        for item in pager.feed():
            yield item
        exchange = pager.exchange()


def steps(page):
    """What gives the page after one that was built or changed, and its twin for asyncio."""
    if isinstance(page, SearchResultObject):
        return SearchResultObject.next_search_result_page, SearchResultObject.next_search_result_page_async
    if not isinstance(page, ListObject):
        return next_v2_page, next_v2_page_async
    if is_backward(page):
        return ListObject.previous_page, ListObject.previous_page_async
    return ListObject.next_page, ListObject.next_page_async


def slow_pages(page):
    step = steps(page)[0]
    yield from given(page)
    while more_follows(page):
        page = step(page)
        yield from given(page)


async def slow_pages_async(page):
    """The items after those of `page`."""
    step = steps(page)[1]
    while more_follows(page):
        page = await step(page)
        for item in given(page):
            yield item


def next_v2_page(page):
    return requestor_of(page).request("GET", page["next_page_url"])


async def next_v2_page_async(page):
    return await requestor_of(page).request_async("GET", page["next_page_url"])
