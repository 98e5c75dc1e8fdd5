/* See page.h. Whatever an iterator was made from (an operation, a page, a nested list, a cursor), it comes down to one thing:
 * a path with params, and a place in it.
 *
 *            v1 list                        search          v2 list
 *   place    id of the last item given      page token      path and query (next_page_url)
 *   next     starting_after | ending_before page            followed as it is
 *
 * `place` is where the page at hand was asked for, `next` where the following one will be; NULL: the beginning, the end.
 * A v1 cursor can name any item; the others name their page and how many of its items were taken (`skip`). */
#include "page.h"

#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "json.h"

typedef enum { STYLE_V1, STYLE_SEARCH, STYLE_V2 } page_style;

enum { CURSOR_FORMAT = 1, PAGE_LIMIT = 100 };

struct ps_iter {
  ps_arena *arena;
  ps_exchange_host host;
  ps_fault fault; /* why no page can ever be fetched */
  const ps_api_operation *operation;
  const char *method, *path;
  ps_value *params, *headers, *list, *fields; /* list: a copy of the one that was begun from */
  ps_call_options options;
  page_style style;
  bool backward;
  ps_result *page, *error, *used; /* used: the page before, for its memory */
  const ps_value **items;         /* of the page, in the order that they are given */
  size_t count, taken, skip;
  char *place, *next;
  bool started, lent; /* lent: the page is the caller's now */
  ps_exchange *pending;
};

static ps_iter out_of_memory; /* ends at once, with the result for "no memory" */

/* ---- Making one ---- */

/* To be freed; NULL: no memory. */
static char *duplicate(const char *s) {
  ps_buf copy = PS_BUF_INIT;
  ps_buf_str(&copy, s);
  return ps_buf_take(&copy, NULL);
}

static void copy_options(ps_iter *it, const ps_call_options *options) {
  it->options = *options;
  ps_call_options_keep(&it->options, options, it->arena, &it->fault);
  it->options.idempotency_key = NULL;
  if (options->headers) ps_value_copy(it->headers, options->headers);
  it->options.headers = options->headers ? it->headers : NULL;
}

static ps_iter *create(const ps_exchange_host *host, const ps_fault *fault) {
  ps_iter *it = calloc(1, sizeof *it);
  ps_arena *arena = it ? ps_arena_new(512) : NULL;
  if (!arena) {
    free(it);
    return &out_of_memory;
  }
  it->arena = arena;
  it->host = *host;
  it->options = PS_CALL_OPTIONS_INIT;
  it->method = "GET";
  it->path = "/";
  it->params = ps_value_new();
  it->headers = ps_value_new();
  ps_value_set_map(it->params);
  if (fault) it->fault = *fault;
  if (host->client) host->hold(host->client);
  return it;
}

static const char *const kinds[] = {"list", "search", "v2_list"}; /* of operations, by style */

static page_style style_of(const char *kind) {
  if (strcmp(kind, kinds[STYLE_SEARCH]) == 0) return STYLE_SEARCH;
  return strcmp(kind, kinds[STYLE_V2]) == 0 ? STYLE_V2 : STYLE_V1;
}

/* Sets the path, without its query: that becomes params. */
static void set_path(ps_iter *it, const char *path) {
  if (!ps_path_check("the list's url", path, &it->fault)) return;
  size_t length = strcspn(path, "?");
  it->path = ps_arena_strn(it->arena, path, length);
  if (!it->path) {
    ps_fault_memory(&it->fault);
    it->path = "/";
    return;
  }
  if (path[length]) {
    ps_value *merged = ps_query_merge(path + length + 1, it->params);
    ps_value_free(it->params);
    it->params = merged;
  }
  it->operation = ps_operation_route(it->method, it->path);
  if (it->operation) it->style = style_of(ps_operation_kind(it->operation));
  else if (strncmp(path, "/v2/", 4) == 0) it->style = STYLE_V2;
}

static bool has_param(const ps_iter *it, const char *name) {
  return ps_type(ps_map_get(it->params, name, strlen(name)), NULL) != PS_NULL;
}

/* Called once the params are there. */
static void settle(ps_iter *it) {
  it->backward = it->style == STYLE_V1 && has_param(it, "ending_before") && !has_param(it, "starting_after");
}

static void refuse_plain(ps_iter *it) {
  const char *kind = it->operation ? ps_operation_returns_kind(it->operation) : "list";
  if (strcmp(kind, "object") == 0 || strcmp(kind, "binary") == 0 || strcmp(kind, "none") == 0) {
    ps_fault_set(&it->fault, PS_ERROR_USAGE, "%s does not return a list", ps_operation_id(it->operation));
  }
}

ps_iter *ps_iter_create(const ps_exchange_host *host, const ps_target *target, const ps_value *params,
                        const ps_call_options *options, const ps_fault *fault) {
  ps_iter *it = create(host, fault);
  if (it == &out_of_memory || it->fault.kind != PS_ERROR_NONE) return it;
  ps_buf path = PS_BUF_INIT;
  if (target->path) ps_buf_str(&path, target->path);
  else ps_target_path(&path, target, &it->fault);
  it->method = target->method ? target->method : ps_operation_method(target->operation);
  it->method = ps_fault_copy(&it->fault, it->arena, it->method);
  if (path.failed) ps_fault_memory(&it->fault);
  if (options) copy_options(it, options);
  if (params && (params->type != PS_NULL || ps_value_is_poisoned(params))) ps_value_copy(it->params, params);
  if (it->fault.kind == PS_ERROR_NONE) set_path(it, ps_buf_text(&path));
  ps_buf_dispose(&path);
  refuse_plain(it);
  settle(it);
  return it;
}

void ps_iter_set_fields(ps_iter *it, const ps_value *fields) {
  if (it == &out_of_memory) return;
  ps_value_free(it->fields);
  ps_value_copy(it->fields = ps_value_new(), fields);
}

/* ---- Pages ---- */

static const char *next_url(const ps_value *page, ps_fault *fault) {
  const char *url = ps_str(page, "next_page_url");
  return *url && ps_path_check("next_page_url", url, fault) ? url : NULL;
}

/* The place after a page whose last item to be given is `last`; NULL at the end. */
static const char *next_place(const ps_iter *it, const ps_value *page, const ps_value *last, ps_fault *fault) {
  if (it->style == STYLE_V2) return next_url(page, fault);
  if (!ps_bool(page, "has_more")) return NULL;
  bool search = it->style == STYLE_SEARCH;
  const char *place = search ? ps_str(page, "next_page") : ps_str(last, "id");
  if (*place) return place;
  ps_fault_set(fault, PS_ERROR_PROTOCOL, "the page has_more, but %s",
               search ? "no next_page" : "its last item has no id");
  return NULL;
}

/* Which of the three a page is, where the table does not know. */
static void recognise(ps_iter *it, const ps_value *page) {
  if (it->operation) return;
  if (ps_map_get(page, "next_page_url", 13)) it->style = STYLE_V2;
  else if (strcmp(ps_str(page, "object"), "search_result") == 0) it->style = STYLE_SEARCH;
}

static bool is_page(const ps_value *v) { return ps_type(ps_map_get(v, "data", 4), NULL) == PS_LIST; }

/* Takes a page's items in; false without memory, and then nothing has changed. That no page can follow is a fault which
 * waits until the items are given: never an early end. */
static bool take_page(ps_iter *it, const ps_value *page) {
  const ps_value *data = ps_map_get(page, "data", 4);
  size_t count = ps_count(data), at = 0;
  const ps_value **items = malloc((count + 1) * sizeof *items);
  if (!items) return false;
  recognise(it, page);
  for (const ps_value *v = ps_first(data); v; v = ps_next(v), at++) items[it->backward ? count - 1 - at : at] = v;
  const char *place = next_place(it, page, count ? items[count - 1] : NULL, &it->fault);
  char *next = place ? duplicate(place) : NULL;
  if (place && !next) {
    free(items);
    return false;
  }
  free(it->items);
  it->items = items;
  it->count = count;
  it->taken = it->skip < count ? it->skip : count;
  it->skip = 0;
  if (it->started) {
    free(it->place);
    it->place = it->next;
  }
  it->next = next;
  it->started = true;
  return true;
}

/* A list inside a result names its own url; a result that is a page goes on where its request was. */
static void set_origin_path(ps_iter *it, const ps_origin *o, const ps_value *list, bool nested) {
  const char *url = ps_str(list, "url");
  if (!nested && o->path) {
    set_path(it, o->path);
    if (o->params) ps_value_copy(it->params, o->params);
  } else if (*url) {
    it->method = "GET";
    set_path(it, url);
  } else {
    ps_fault_set(&it->fault, PS_ERROR_USAGE, "this value is not a page or a list: it has no url");
  }
}

ps_iter *ps_iter_create_from(const ps_exchange_host *host, const ps_result *r, const ps_value *list) {
  ps_iter *it = create(host, r->fault.kind != PS_ERROR_NONE ? &r->fault : NULL);
  if (it == &out_of_memory || it->fault.kind != PS_ERROR_NONE) return it;
  bool nested = list && list != r->data;
  const ps_value *page = nested ? list : ps_data(r);
  copy_options(it, &r->origin.options);
  if (r->origin.method) it->method = ps_fault_copy(&it->fault, it->arena, r->origin.method);
  set_origin_path(it, &r->origin, page, nested);
  if (!is_page(page))
    ps_fault_set(&it->fault, PS_ERROR_USAGE, "this value is not a page or a list: it has no list `data`");
  settle(it);
  if (it->fault.kind != PS_ERROR_NONE) return it;
  it->list = ps_value_new();
  ps_value_copy(it->list, page);
  if (ps_value_is_poisoned(it->list) || !take_page(it, it->list)) ps_fault_memory(&it->fault);
  return it;
}

/* ---- The next item ---- */

const ps_value *ps_iter_item(ps_iter *it) {
  if (it->taken >= it->count || it->error) return NULL;
  return it->items[it->taken++];
}

static bool wants_limit(const ps_iter *it) {
  if (!it->operation || it->style == STYLE_V2 || has_param(it, "limit")) return false;
  return ps_field_find(ps_operation_params(it->operation), "limit") != NULL;
}

/* The params of the page at `place`. */
static void place_params(const ps_iter *it, ps_value *params, const char *place) {
  if (it->style == STYLE_V2 && place && strcmp(it->method, "GET") == 0) return;
  ps_value_copy(params, it->params);
  if (wants_limit(it)) ps_value_set_int(ps_map_set(params, "limit"), PAGE_LIMIT);
  if (!place || it->style == STYLE_V2) return;
  const char *name = it->style == STYLE_SEARCH ? "page" : it->backward ? "ending_before" : "starting_after";
  ps_value_set_str(ps_map_set(params, name), place);
}

ps_exchange *ps_iter_exchange(ps_iter *it) {
  bool again = it->started && !it->next && it->fault.kind == PS_ERROR_NONE;
  if (it == &out_of_memory || it->pending || again) return it->pending;
  const char *place = it->started ? it->next : it->place;
  ps_value *params = ps_value_new();
  const char *path = it->style == STYLE_V2 && place ? place : it->path;
  ps_target target = {.operation = it->operation, .method = it->method, .path = path, .followed = path == place};
  place_params(it, params, place);
  it->pending = ps_exchange_create(&it->host, &target, params, &it->options, &it->fault);
  ps_value_free(params);
  ps_exchange_set_fields(it->pending, it->fields);
  ps_exchange_reuse(it->pending, it->used);
  it->used = NULL;
  return it->pending;
}

void ps_iter_drop_pending(ps_iter *it) {
  ps_exchange_free(it->pending);
  it->pending = NULL;
}

ps_exchange *ps_iter_pending(ps_iter *it) { return it->pending; }

/* The error of a page that was answered, but cannot be taken in; it is asked for again. */
static ps_result *refuse_page(ps_result *r, bool no_memory) {
  ps_fault fault = {.kind = PS_ERROR_NONE};
  if (no_memory) ps_fault_memory(&fault);
  else ps_fault_set(&fault, PS_ERROR_PROTOCOL, "the answer is not a page: it has no list `data`");
  fault.outcome = PS_OUTCOME_UNKNOWN;
  ps_result_free(r);
  return ps_result_from_fault(&fault);
}

bool ps_iter_feed(ps_iter *it) {
  if (!it->pending) return false;
  ps_result *r = ps_exchange_result(it->pending);
  ps_iter_drop_pending(it);
  ps_result_free(it->error);
  it->error = NULL;
  if (!ps_result_ok(r)) {
    it->error = r;
  } else if (!is_page(ps_data(r)) || !take_page(it, ps_data(r))) {
    it->error = refuse_page(r, is_page(ps_data(r)));
  } else {
    ps_result_free(it->used);
    it->used = it->lent ? NULL : it->page;
    it->page = r;
    it->lent = false;
  }
  return !it->error;
}

bool ps_iter_wants_prefetch(const ps_iter *it) {
  bool half = it->count > 0 && it->taken * 2 >= it->count;
  return half && it->next && !it->pending && it->options.prefetch != 0;
}

const ps_result *ps_iter_result(const ps_iter *it) {
  static const ps_result nothing;
  if (it == &out_of_memory) return ps_result_no_memory();
  if (it->error) return it->error;
  return it->page ? it->page : &nothing;
}

ps_result *ps_iter_take_page(ps_iter *it) {
  if (!it->page || it->lent) return NULL;
  it->lent = true;
  ps_result_drop_body(it->page);
  return it->page;
}

const ps_api_type *ps_iter_type(const ps_iter *it) {
  const ps_api_type *list = it->operation ? ps_operation_returns(it->operation) : NULL;
  return list ? ps_type_item(list) : NULL;
}

void ps_iter_free(ps_iter *it) {
  if (!it || it == &out_of_memory) return;
  ps_iter_drop_pending(it);
  if (!it->lent) ps_result_free(it->page);
  ps_result_free(it->used);
  ps_result_free(it->error);
  ps_value_free(it->params);
  ps_value_free(it->headers);
  ps_value_free(it->list);
  ps_value_free(it->fields);
  free(it->items);
  free(it->place);
  free(it->next);
  ps_arena_free(it->arena);
  if (it->host.client) it->host.release(it->host.client);
  free(it);
}

/* ---- Cursors ---- */

static const char *mode_of(const ps_iter *it) {
  const char *key = it->options.api_key ? it->options.api_key : it->host.defaults->api_key;
  return key && strstr(key, "_test_") ? "test" : "live";
}

static void set_if(ps_value *map, const char *key, const char *s) {
  if (s) ps_value_set_str(ps_map_set(map, key), s);
}

char *ps_iter_cursor(const ps_iter *it) {
  bool failed = it->fault.kind != PS_ERROR_NONE;
  if (it == &out_of_memory || (failed && !it->started)) return NULL;
  bool spent = it->started && it->taken >= it->count && !failed;
  const char *last = it->style == STYLE_V1 && it->taken > 0 ? ps_str(it->items[it->taken - 1], "id") : "";
  ps_value *v = ps_value_new();
  ps_value_set_int(ps_map_set(v, "format"), CURSOR_FORMAT);
  set_if(v, "mode", mode_of(it));
  set_if(v, "method", it->method);
  set_if(v, "path", it->path);
  set_if(v, "kind", kinds[it->style]);
  ps_value_copy(ps_map_set(v, "params"), it->params);
  set_if(v, "place", *last ? last : spent ? it->next : it->place);
  ps_value_set_int(ps_map_set(v, "skip"), *last || spent ? 0 : (int64_t)(it->started ? it->taken : it->skip));
  ps_value_set_bool(ps_map_set(v, "backward"), it->backward);
  ps_value_set_bool(ps_map_set(v, "done"), spent && !it->next);
  set_if(v, "stripe_account", it->options.stripe_account);
  set_if(v, "stripe_context", it->options.stripe_context);
  set_if(v, "stripe_version", it->options.stripe_version);
  set_if(v, "base", it->options.base);
  if (it->options.headers) ps_value_copy(ps_map_set(v, "headers"), it->options.headers);
  char *text = ps_value_is_poisoned(v) ? NULL : ps_json(v, NULL);
  ps_value_free(v);
  return text;
}

static const char *string_or_null(const ps_value *v, const char *key) {
  return ps_type(v, key) == PS_STRING ? ps_str(v, key) : NULL;
}

static void read_cursor(ps_iter *it, const ps_value *v) {
  ps_call_options own = PS_CALL_OPTIONS_INIT;
  own.stripe_account = string_or_null(v, "stripe_account");
  own.stripe_context = string_or_null(v, "stripe_context");
  own.stripe_version = string_or_null(v, "stripe_version");
  own.base = string_or_null(v, "base");
  own.headers = ps_type(v, "headers") == PS_MAP ? ps_get(v, "headers") : NULL;
  copy_options(it, &own);
  it->method = strcmp(ps_str(v, "method"), "POST") == 0 ? "POST" : "GET";
  set_path(it, ps_str(v, "path"));
  refuse_plain(it);
  if (!it->operation && *ps_str(v, "kind")) it->style = style_of(ps_str(v, "kind"));
  ps_value_copy(it->params, ps_get(v, "params"));
  const char *place = ps_str(v, "place");
  it->place = *place ? duplicate(place) : NULL;
  if (*place && !it->place) ps_fault_memory(&it->fault);
  it->skip = ps_int(v, "skip") > 0 ? (size_t)ps_int(v, "skip") : 0;
  settle(it);
  it->backward = ps_bool(v, "backward");
  it->started = ps_bool(v, "done");
}

ps_iter *ps_iter_create_resumed(const ps_exchange_host *host, const char *cursor) {
  ps_iter *it = create(host, NULL);
  if (it == &out_of_memory) return it;
  ps_value *v = ps_value_parse(cursor, strlen(cursor));
  if (ps_value_fault(v)->kind == PS_ERROR_MEMORY) {
    ps_fault_memory(&it->fault);
  } else if (ps_value_is_poisoned(v) || ps_int(v, "format") != CURSOR_FORMAT || ps_type(v, "params") != PS_MAP) {
    ps_fault_set(&it->fault, PS_ERROR_USAGE, "the cursor is not one that this version of pinstripe wrote");
  } else if (strcmp(ps_str(v, "mode"), mode_of(it)) != 0) {
    ps_fault_set(&it->fault, PS_ERROR_USAGE, "the cursor is of %s mode, the client's key of %s mode", ps_str(v, "mode"),
                 mode_of(it));
  } else {
    read_cursor(it, v);
  }
  ps_value_free(v);
  return it;
}
