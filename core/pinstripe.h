/* pinstripe: the Stripe API for C, through one small core.
 *
 *   ps_client *stripe = ps_client_new("sk_test_...", NULL);
 *   ps_value *params = ps_params("email", "jenny@example.com", "metadata[order]", "6735", NULL);
 *   ps_result *r = ps_call(stripe, PS_CUSTOMERS_CREATE, NULL, params, NULL);
 *   if (ps_result_ok(r)) puts(ps_str(ps_data(r), "id"));
 *   else fprintf(stderr, "%s\n", ps_error_message(r));
 *   ps_result_free(r); ps_value_free(params); ps_client_free(stripe);
 *
 * This header is the manual; read it from top to bottom:
 *
 *   1 values      what is sent and what is received
 *   2 options     of a client and of a call
 *   3 clients
 *   4 calls       and their results
 *   5 errors
 *   6 lists       iterators over pages
 *   7 exchanges   the machine of one call, for a transport or loop of your own
 *   8 the table   every operation, parameter, object and event of the API
 *   9 webhooks    signatures, events, handlers of thin events
 *  10 meters      usage in batches
 *
 * Rules that hold everywhere:
 *
 *   Ownership  A pointer to const is borrowed: it lives as long as what it was asked from. What a function whose name ends
 *              in _new (or ps_params, ps_call, ps_request, ps_iter_*) returns is the caller's, freed with the matching
 *              _free. Nothing passed in changes owner; what must outlive the call is copied. Every _free accepts NULL.
 *   NULL       No function returns NULL unless its comment says so. A pointer argument must not be NULL unless its
 *              comment says so; reading functions take a NULL value, result or type as an empty one.
 *   Memory     Running out of memory is an ordinary error (PS_ERROR_MEMORY), never an abort.
 *   Threads    A client may be used by any number of threads. Everything else belongs to one thread at a time.
 *              Constants of the table may be read by all.
 *   Text       UTF-8. Amounts are integers in the currency's smallest unit (cents), times are Unix seconds.
 *   The library never prints, exits, or changes the locale or a signal's handler; it writes to disk where the option
 *   save_to says, and nowhere else. */
#ifndef PINSTRIPE_H
#define PINSTRIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && !defined(PS_API)
#define PS_API __attribute__((visibility("default")))
#elif !defined(PS_API)
#define PS_API
#endif

#define PS_VERSION "0.1.0"

typedef struct ps_value ps_value;
typedef struct ps_client ps_client;
typedef struct ps_result ps_result;
typedef struct ps_iter ps_iter;
typedef struct ps_exchange ps_exchange;

/* The version of the library that is linked (PS_VERSION is the header's). */
PS_API const char *ps_version(void);

/* ---- 1 Values ------------------------------------------------------------------------------------------------------
 *
 * A value is null, a boolean, an integer, another number, a string, a list or a map. Results are read as values, params
 * are built as values. Values inside a tree are borrowed from it; only what ps_value_new, ps_params or ps_value_parse
 * returned is freed. Lists and maps may be nested 128 deep. */

typedef enum { PS_NULL, PS_BOOL, PS_INT, PS_NUMBER, PS_STRING, PS_LIST, PS_MAP } ps_value_type;

/* Reading. `path` names a value inside `v`: map keys and list indices (from 0) joined by dots, "customer.email" or
 * "data.0.id"; NULL or "" is `v` itself. An absent value reads as null; nothing here fails. */
PS_API const ps_value *ps_get(const ps_value *v, const char *path);
PS_API ps_value_type ps_type(const ps_value *v, const char *path);
/* The text of a string, or of a PS_NUMBER as it was sent; "" for everything else, an integer too. Ends in a NUL and may
 * hold others: `length` (NULL: not wanted) receives the bytes. */
PS_API const char *ps_str(const ps_value *v, const char *path);
PS_API const char *ps_strn(const ps_value *v, const char *path, size_t *length);
/* An integer; 0 for everything else. A number is a PS_INT if it is written without fraction and exponent and int64 holds
 * it; all others, larger integers too, are a PS_NUMBER: their text is ps_str's. */
PS_API int64_t ps_int(const ps_value *v, const char *path);
/* A number, integer or not, as the nearest double (infinity beyond its range); 0 otherwise. No locale matters. */
PS_API double ps_double(const ps_value *v, const char *path);
/* true only for the boolean true. */
PS_API bool ps_bool(const ps_value *v, const char *path);

/* Children of a list or map, in order: NULL after the last one, and for anything without children. */
PS_API size_t ps_count(const ps_value *v);
PS_API const ps_value *ps_first(const ps_value *v);
PS_API const ps_value *ps_next(const ps_value *child);
/* The key of a map's child, "" for a list's; `length` may be NULL. */
PS_API const char *ps_key(const ps_value *child, size_t *length);
/* By literal key (dots and brackets mean nothing), or NULL. */
PS_API const ps_value *ps_map_get(const ps_value *map, const char *key, size_t length);
/* By index from 0, or NULL. Walking with ps_next is faster. */
PS_API const ps_value *ps_list_get(const ps_value *list, size_t index);

/* Building. A new value is null; ps_value_set_* make it something else, dropping what it was:
 *
 *   ps_value *params = ps_value_new();
 *   ps_value_set_int(ps_map_set(params, "amount"), 2000);
 *   ps_value *items = ps_map_set(params, "items");
 *   ps_value_set_str(ps_map_set(ps_list_add(items), "price"), "price_1");
 *
 * After a failure (no memory, a list used as a map, invalid number text) the whole tree is poisoned: building goes on
 * harmlessly, and a call given it sends nothing and returns that error. What a tree drops stays in its memory until it
 * is freed. */
PS_API ps_value *ps_value_new(void);
/* Frees a tree by its first value; a value inside a tree is left alone. */
PS_API void ps_value_free(ps_value *v);
/* A map from (path, string) pairs, ended by NULL. A path is the API's own form: "a[b][c]"; "a[0]", "a[1]" in order;
 * "a[]" adds an item. A path that comes again replaces its value. */
PS_API ps_value *ps_params(const char *path, ...);
/* The child with this literal key, added as null if absent, last. A null `map` becomes a map. Strings and keys may hold
 * any bytes, NUL too; a call whose body is JSON (v2) sends only UTF-8. */
PS_API ps_value *ps_map_set(ps_value *map, const char *key);
PS_API ps_value *ps_map_setn(ps_value *map, const char *key, size_t length);
/* A new last child. A null `list` becomes a list. */
PS_API ps_value *ps_list_add(ps_value *list);
PS_API void ps_value_set_null(ps_value *v);
PS_API void ps_value_set_bool(ps_value *v, bool b);
PS_API void ps_value_set_int(ps_value *v, int64_t i);
PS_API void ps_value_set_double(ps_value *v, double d);         /* infinity and NaN poison */
PS_API void ps_value_set_number(ps_value *v, const char *text); /* JSON's number syntax; kept to the digit */
PS_API void ps_value_set_str(ps_value *v, const char *s);
PS_API void ps_value_set_strn(ps_value *v, const char *s, size_t length);
PS_API void ps_value_set_list(ps_value *v);                    /* empty */
PS_API void ps_value_set_map(ps_value *v);                     /* empty */
PS_API void ps_value_copy(ps_value *to, const ps_value *from); /* deep; from any tree, its own too; NULL is null */
/* "" unless the tree is poisoned: then why. Borrowed from the tree. */
PS_API const char *ps_value_error(const ps_value *v);
/* Poisons the tree of `v` with a reason of the caller's own; the first reason stays. */
PS_API void ps_value_fail(ps_value *v, const char *reason);

/* JSON text of a value, to be freed with ps_free; `length` may be NULL. NULL: no memory. A byte that is not UTF-8 becomes
 * U+FFFD. */
PS_API char *ps_json(const ps_value *v, size_t *length);
/* A value from JSON text (RFC 8259, UTF-8, depth up to 128); poisoned if the text is not JSON. Of a key that comes twice
 * in a map, the last value counts. A lone surrogate ("\ud800") becomes U+FFFD. */
PS_API ps_value *ps_value_parse(const char *json, size_t length);
PS_API void ps_free(void *memory);

/* ---- 2 Options -----------------------------------------------------------------------------------------------------
 *
 * Start from the _INIT and set what you need. Durations are seconds, fractions allowed. A negative number and a NULL
 * pointer mean "not set": the client's default, or for a call, the client's own. 0 is zero. Strings are copied.
 * options.def lists the fields with their meaning; bindings set them by those names, through ps_..._options_read. */

enum { PS_BODY_LATER = -2 };

/* A request's body, read piece by piece. */
typedef struct ps_body {
  int64_t length; /* bytes, or -1: unknown, sent chunked */
  /* Fills up to `size` bytes; returns how many, 0 at the end, -1 on failure; PS_BODY_LATER: nothing is at hand yet, of a
   * body that is fed (section 7). */
  ptrdiff_t (*read)(void *context, char *buffer, size_t size);
  /* Back to the first byte; false on failure. NULL: cannot, and the call is never sent twice. */
  bool (*rewind)(void *context);
  void *context;
  /* After a failure: why, for the call's error; NULL, or returning NULL: no more is known. */
  const char *(*reason)(void *context);
} ps_body;

typedef enum { PS_LOG_OFF, PS_LOG_ERROR, PS_LOG_WARN, PS_LOG_INFO, PS_LOG_DEBUG } ps_log_level;
typedef enum { PS_EVENT_REQUEST, PS_EVENT_RESPONSE, PS_EVENT_RETRY, PS_EVENT_NOTICE } ps_event_kind;

/* One thing that happened to a call. Never holds a key, a secret, params or a body. */
typedef struct ps_call_event {
  ps_event_kind kind;
  ps_log_level level;
  const char *operation;  /* id, or "" for ps_request */
  const char *method;     /* "POST" */
  const char *path;       /* without the query */
  int attempt;            /* from 1 */
  int status;             /* HTTP status, 0 without a reply */
  double duration;        /* seconds since the attempt began; of a retry: until it begins */
  const char *request_id; /* Stripe's Request-Id, or "" */
  const char *message;    /* one line for a log: the event, or the text of a Stripe-Notice header */
} ps_call_event;

/* An event as one line, "POST /v1/charges: 402 after 210 ms, attempt 1, req_1", to be freed with ps_free. NULL: no memory. */
PS_API char *ps_log_line(const ps_call_event *event);
/* "off", "error", "warn", "info", "debug" to a level; PS_LOG_OFF for anything else. */
PS_API ps_log_level ps_log_level_find(const char *name);
PS_API const char *ps_log_level_name(ps_log_level level);

/* Runs on the caller's thread, between requests; it may make other calls. */
typedef void (*ps_event_fn)(void *context, const ps_call_event *event);

typedef struct ps_http_request ps_http_request;
typedef struct ps_http_response ps_http_response;

/* Carries requests in place of libcurl. May be called by every thread that uses the client. */
typedef struct ps_transport {
  /* Carries out one request: fills `response` (section 7) and returns. */
  void (*send)(void *context, const ps_http_request *request, ps_http_response *response);
  /* Waits this many milliseconds; NULL: the library waits by itself. */
  void (*sleep)(void *context, int64_t ms);
  void *context;
} ps_transport;

#define PS_OPTION_STRING(name, meaning) const char *name;
#define PS_OPTION_BYTES(name, meaning)                                                                                 \
  const char *name;                                                                                                    \
  int64_t name##_length; /* negative: up to the first NUL */
#define PS_OPTION_SECONDS(name, meaning) double name;
#define PS_OPTION_COUNT(name, meaning) int64_t name;
#define PS_OPTION_FLAG(name, meaning) int name;
#define PS_OPTION_MAP(name, meaning) const ps_value *name;
#define PS_OPTION_EVENTS(name, meaning) ps_event_fn name;
#define PS_OPTION_POINTER(type, name, meaning) type name;

typedef struct ps_client_options {
  size_t size;
#define PS_CLIENT_OPTIONS
#include "options.def"
#undef PS_CLIENT_OPTIONS
} ps_client_options;

typedef struct ps_call_options {
  size_t size;
#define PS_CALL_OPTIONS
#include "options.def"
#undef PS_CALL_OPTIONS
} ps_call_options;

#undef PS_OPTION_STRING
#undef PS_OPTION_BYTES
#undef PS_OPTION_SECONDS
#undef PS_OPTION_COUNT
#undef PS_OPTION_FLAG
#undef PS_OPTION_MAP
#undef PS_OPTION_EVENTS
#undef PS_OPTION_POINTER

/* Every option "not set". Inline, so that `size` is that of the program's own struct, whatever library it meets. */
PS_API void ps_client_options_clear(ps_client_options *options, size_t size);
PS_API void ps_call_options_clear(ps_call_options *options, size_t size);
static inline ps_client_options ps_client_options_init(void) {
  ps_client_options options;
  ps_client_options_clear(&options, sizeof options);
  return options;
}
static inline ps_call_options ps_call_options_init(void) {
  ps_call_options options;
  ps_call_options_clear(&options, sizeof options);
  return options;
}
#define PS_CLIENT_OPTIONS_INIT ps_client_options_init()
#define PS_CALL_OPTIONS_INIT ps_call_options_init()

/* Reads options from a map by name, on top of what `options` holds; strings are borrowed from `map`. NULL on success,
 * else what is wrong, with the nearest name that exists: to be freed with ps_free. NULL `map`: nothing to read. */
PS_API char *ps_client_options_read(ps_client_options *options, const ps_value *map);
PS_API char *ps_call_options_read(ps_call_options *options, const ps_value *map);

/* ---- 3 Clients ----------------------------------------------------------------------------------------------------- */

/* `api_key` NULL: the option's, else STRIPE_API_KEY of the environment; then PINSTRIPE_API_BASE there is the base of all
 * that no option gives one, as of a stand-in. `options` may be NULL. Never fails by itself: a
 * client made from bad options has an error, which each of its calls returns. Nothing is sent yet. */
PS_API ps_client *ps_client_new(const char *api_key, const ps_client_options *options);
/* "" or why every call on this client will fail. */
PS_API const char *ps_client_error(const ps_client *client);
/* Clients are counted: results, iterators and exchanges hold theirs, so this may come first. */
PS_API void ps_client_free(ps_client *client);
PS_API ps_client *ps_client_hold(ps_client *client); /* returns `client`; free once more */
/* The same client, its connections and limits included, in another context and without an account; "": without either. */
PS_API ps_client *ps_client_scoped(ps_client *client, const char *stripe_context);

/* ---- 4 Calls -------------------------------------------------------------------------------------------------------
 *
 * `operation` is a constant of pinstripe_operations.h. `ids` fill the path, in order, ended by NULL; NULL: none.
 * `params` may be NULL: none. `options` may be NULL. Blocks until answered, failed or past the deadline.
 *
 * An upload's file is a map: {path}, read while it is sent, or {content, filename, type}:
 *
 *   ps_value *params = ps_params("purpose", "dispute_evidence", "file[path]", "receipt.pdf", NULL);
 *   ps_result *r = ps_call(stripe, PS_FILES_CREATE, NULL, params, NULL); */
PS_API ps_result *ps_call(ps_client *client, const char *operation, const char *const *ids, const ps_value *params,
                          const ps_call_options *options);
/* Any method ("GET", "POST", "PATCH") and path ("/v1/..." or "/v2/..."), for what the table does not know. A route that it
 * does know is treated as that operation. The params of GET, HEAD and DELETE go into the query, of others into a body. The options `body` (exact bytes in place of params), `content_type`,
 * `stripe_version` (of a preview) and `raw` (the answer as it came: ps_result_body) serve what is stranger still. */
PS_API ps_result *ps_request(ps_client *client, const char *method, const char *path, const ps_value *params,
                             const ps_call_options *options);
/* The bytes at the `url` of a file, a file link or a report's result: an address on the client's own bases, or a path on that
 * of files. Any other address is refused, and the link of a file is asked for without a key. As those of every operation
 * that returns bytes (PS_QUOTES_PDF), they are ps_result_body; with the option save_to they go to a file: under a
 * temporary name beside it, which becomes its own when all is there (behind a link, that of what it stands for); a cut
 * download goes on where it was, if the server can do that. An answer that is compressed, or has another status than 200,
 * is an error. The options `file` (an upload's bytes, from a reader of one's own) and `stream` (section 7) are for
 * bytes that come from, or go to, elsewhere. A source without rewind is not sent twice. */
PS_API ps_result *ps_file_download(ps_client *client, const char *url, const ps_call_options *options);

/* OAuth: the address, ps_str(ps_data(r), NULL), at which a user lets the platform `client_id` (of the params, else of the
 * client) act for an account; `express`: for Express accounts. Nothing is sent, and no key is needed. Then
 * PS_OAUTH_TOKEN takes the code that comes back, PS_OAUTH_DEAUTHORIZE ends it. */
PS_API ps_result *ps_oauth_authorize_url(ps_client *client, const ps_value *params, bool express);

/* A result is one of three: ok, an API error (the server answered), a library error. Reading never fails. */
PS_API void ps_result_free(ps_result *r);
PS_API bool ps_result_ok(const ps_result *r);
/* What the server sent, parsed: of an error too, if it was JSON. */
PS_API const ps_value *ps_data(const ps_result *r);
/* The HTTP status, 0 without a reply. */
PS_API int ps_result_status(const ps_result *r);
/* The body as received, but for lone surrogate escapes, which read "\ufffd"; "" without one. `length` may be NULL. */
PS_API const char *ps_result_body(const ps_result *r, size_t *length);
/* Frees that body, for who keeps the data and no longer needs the text: it then reads "". `r` may be NULL. */
PS_API void ps_result_drop_body(ps_result *r);
/* A response header by name in any case, or NULL. */
PS_API const char *ps_result_header(const ps_result *r, const char *name);
/* Header number `index` in the order received; false past the last. */
PS_API bool ps_result_header_at(const ps_result *r, size_t index, const char **name, const char **value);
PS_API const char *ps_result_request_id(const ps_result *r);      /* "" if none */
PS_API const char *ps_result_idempotency_key(const ps_result *r); /* the write's, sent or not; "" if none */
PS_API int ps_result_attempts(const ps_result *r);                /* requests begun; 0 if none was */

/* ---- 5 Errors ------------------------------------------------------------------------------------------------------
 *
 * errors.def lists the kinds: which are the server's answers and which the library's own. */

typedef enum {
  PS_ERROR_NONE = 0,
#define PS_ERROR(constant, name, class, meaning) PS_ERROR_##constant,
#include "errors.def"
#undef PS_ERROR
} ps_error;

/* Whether money may have moved. */
typedef enum {
  PS_OUTCOME_OK,       /* the call succeeded */
  PS_OUTCOME_NOT_SENT, /* certainly nothing happened */
  PS_OUTCOME_REJECTED, /* the server refused it, with a status below 500 */
  PS_OUTCOME_UNKNOWN   /* it may have happened: ask again with the same idempotency key. A status of 500 and above is no
                        * refusal: docs.stripe.com/error-low-level, server errors, calls its result indeterminate */
} ps_outcome;

PS_API ps_error ps_error_kind(const ps_result *r);
PS_API const char *ps_error_kind_name(ps_error kind);  /* "card", "timeout", ...; "none" */
PS_API const char *ps_error_class_name(ps_error kind); /* Python's class: "CardError", ... */
PS_API ps_outcome ps_error_outcome(const ps_result *r);
PS_API const char *ps_outcome_name(ps_outcome outcome); /* "ok", "not_sent", "rejected", "unknown" */
/* One line for a person, without secrets; "" if ok. */
PS_API const char *ps_error_message(const ps_result *r);
/* The server's "code", "type" and so on; "" where absent. */
PS_API const char *ps_error_code(const ps_result *r);
PS_API const char *ps_error_field(const ps_result *r, const char *name);
/* Every field of the server's error object; null if there is none. */
PS_API const ps_value *ps_error_data(const ps_result *r);

/* ---- 6 Lists -------------------------------------------------------------------------------------------------------
 *
 *   ps_iter *it = ps_iter_new(stripe, PS_CHARGES_LIST, NULL, params, NULL);
 *   for (const ps_value *charge; (charge = ps_iter_next(it)); ) puts(ps_str(charge, "id"));
 *   if (!ps_result_ok(ps_iter_result(it))) fprintf(stderr, "%s\n", ps_error_message(ps_iter_result(it)));
 *   ps_iter_free(it);
 *
 * One iterator serves v1 lists (backwards too, with ending_before), searches and v2 lists. It asks for 100 items a page
 * unless `params` says otherwise, and requests the next page while half of this one is left (option `prefetch`). */

PS_API ps_iter *ps_iter_new(ps_client *client, const char *operation, const char *const *ids, const ps_value *params,
                            const ps_call_options *options);
/* From a page that `ps_call` returned, or from a list nested in any result (`list` inside `r`'s data): its items, then
 * the pages after it, with that call's account, version, headers and key. `list` NULL: the result's own data. */
PS_API ps_iter *ps_iter_from(ps_client *client, const ps_result *r, const ps_value *list);
/* What ps_iter_from needs of `r` once its data has been copied elsewhere: the call that it came from, with a copy of `data`
 * (NULL: none) in place of its own. For bindings; freed like any result. */
PS_API ps_result *ps_result_stub(const ps_result *r, const ps_value *data);
/* Goes on where ps_iter_cursor stood. The client's key must be of the cursor's mode (test or live). */
PS_API ps_iter *ps_iter_resume(ps_client *client, const char *cursor);
/* The next item, until the next call of this; NULL at the end or on an error, which ps_iter_result tells. After an error
 * another call tries the failed page again: no item is lost or given twice. */
PS_API const ps_value *ps_iter_next(ps_iter *it);
/* The same, waiting for about `max_ms` milliseconds at most: NULL with `*waiting` true means "call again". */
PS_API const ps_value *ps_iter_try_next(ps_iter *it, int64_t max_ms, bool *waiting);
/* The page that the last item came from, or the error. */
PS_API const ps_result *ps_iter_result(const ps_iter *it);
/* The page at hand becomes the caller's, who keeps its items for longer than the iterator would; its body's text is gone. It
 * is freed after the iterator has taken another page in, or is freed itself. Once for each page; NULL: there is none. */
PS_API ps_result *ps_iter_take_page(ps_iter *it);
/* The type of the items (section 8), or NULL if the table does not know it. */
PS_API const struct ps_api_type *ps_iter_type(const ps_iter *it);
/* As ps_exchange_set_fields, of all pages that are not fetched yet. */
PS_API void ps_iter_set_fields(ps_iter *it, const ps_value *fields);
/* Where the iteration stands, as JSON, to be freed with ps_free: operation, params, position and options, never a key.
 * NULL: no memory, or an iterator that could not begin, as its ps_iter_next tells. */
PS_API char *ps_iter_cursor(const ps_iter *it);
PS_API void ps_iter_free(ps_iter *it);

/* For a driver of one's own: the next item if one is at hand, else NULL; then the exchange (owned by the iterator) that
 * fetches the next page, NULL at the end. After it is done, ps_iter_feed takes its result in: false on an error. */
PS_API const ps_value *ps_iter_item(ps_iter *it);
PS_API ps_exchange *ps_iter_exchange(ps_iter *it);
PS_API bool ps_iter_feed(ps_iter *it);

/* ---- 7 Exchanges ---------------------------------------------------------------------------------------------------
 *
 * A call as a machine without I/O. It decides what is sent, when, and how often; a driver carries that out:
 *
 *   ps_exchange *x = ps_exchange_new(stripe, PS_BALANCE_RETRIEVE, NULL, NULL, NULL);
 *   for (;;) {
 *     switch (ps_exchange_step(x)) {
 *       case PS_SEND: my_send(ps_exchange_request(x), ps_exchange_response(x)); continue;
 *       case PS_WAIT: my_sleep(ps_exchange_wait(x)); continue;
 *       case PS_DONE: break;
 *     }
 *     break;
 *   }
 *   ps_result *r = ps_exchange_result(x);
 *   ps_exchange_free(x);
 *
 * ps_call is this loop around libcurl. */

typedef enum { PS_SEND, PS_WAIT, PS_DONE } ps_step;

typedef struct ps_http_header {
  const char *name, *value;
} ps_http_header;

struct ps_http_request {
  const char *method;
  const char *url;
  const ps_http_header *headers;
  size_t header_count;
  const ps_body *body;    /* NULL: none */
  double timeout;         /* seconds for this attempt; for an upload or download: without a byte moving */
  double connect_timeout; /* seconds */
  double deadline;        /* seconds left for the whole call; negative: no limit */
};

PS_API ps_exchange *ps_exchange_new(ps_client *client, const char *operation, const char *const *ids,
                                    const ps_value *params, const ps_call_options *options);
PS_API ps_exchange *ps_exchange_new_request(ps_client *client, const char *method, const char *path,
                                            const ps_value *params, const ps_call_options *options);
/* What to do next. Called after PS_SEND it takes the response in; after PS_WAIT it means that the time has passed. */
PS_API ps_step ps_exchange_step(ps_exchange *x);
/* After PS_SEND: what to send, and where to put the answer; both until the next step. */
PS_API const ps_http_request *ps_exchange_request(ps_exchange *x);
PS_API ps_http_response *ps_exchange_response(ps_exchange *x);
/* After PS_WAIT: milliseconds. */
PS_API int64_t ps_exchange_wait(const ps_exchange *x);
/* After PS_DONE, once: the result, which is then the caller's. Before, and asked again: a result of PS_ERROR_MEMORY. */
PS_API ps_result *ps_exchange_result(ps_exchange *x);
/* Drives the exchange with the client's own transport for about `max_ms` milliseconds (negative: to the end). With 0 it
 * begins, or carries on, without waiting. PS_DONE, or where it stands. */
PS_API ps_step ps_exchange_run(ps_exchange *x, int64_t max_ms);
/* One turn of that drive: carries out what the last step asked for, for about `max_ms` milliseconds. True once it is done
 * and the next step is due. For a driver that wants to see each step but has no transport of its own. */
PS_API bool ps_exchange_carry(ps_exchange *x, int64_t max_ms);
PS_API ps_exchange *ps_exchange_new_download(ps_client *client, const char *url, const ps_call_options *options);
/* For languages without callbacks into C: an upload whose file is the map {feed: true, length, rewind: true, filename, type}
 * (without `length` it is sent chunked; with `rewind` it may be sent again) is given piece by piece. The number of the
 * attempt whose body waits for bytes, 0: none does. Of a new attempt the first piece is again the first. */
PS_API int ps_exchange_hungry(const ps_exchange *x);
/* The next piece; a `length` of 0 is the end; `bytes` NULL: it cannot be read. ps_exchange_run and _carry return early,
 * with PS_SEND or false, when a body is hungry. */
PS_API void ps_exchange_feed(ps_exchange *x, const char *bytes, size_t length);
/* After PS_SEND: the bytes of an upload cannot be had any more, or those of a download not be put anywhere, and this is why:
 * the call ends with PS_ERROR_USAGE. */
PS_API void ps_exchange_fail(ps_exchange *x, const char *reason);
/* With the option `stream`: what has arrived and was not taken yet, until the next run; `*length` 0: nothing. To be asked
 * between runs, which return early when a megabyte lies there, and once more after PS_DONE. */
PS_API const char *ps_exchange_take(ps_exchange *x, size_t *length);
/* Bytes of the upload sent, or of the download received (save_to and stream), and of how many; -1: unknown. */
PS_API void ps_exchange_progress(const ps_exchange *x, int64_t *done, int64_t *total);
/* Ends the call soon, with PS_ERROR_CANCELLED. The one function that any thread may call, until _free. */
PS_API void ps_exchange_cancel(ps_exchange *x);
/* Before the first step: of the items of a list, only what `fields` names is wanted, and reading the answer is cheaper for
 * it: {"id": true, "customer": {"email": true}}, through lists. Copied; NULL: everything. More may be left than is named:
 * what objects and pages are known by, errors, and all without memory for the copy. */
PS_API void ps_exchange_set_fields(ps_exchange *x, const ps_value *fields);
/* What has happened since the last time, oldest first; NULL: nothing more. Until the next call of this. ps_exchange_run
 * passes events to the client's hooks by itself. */
PS_API const ps_call_event *ps_exchange_event(ps_exchange *x);
PS_API void ps_exchange_free(ps_exchange *x);

/* Filling a response: status, headers and body, or a failure. What comes before a failure is dropped, but for the headers,
 * which may name the request. */
PS_API void ps_http_response_status(ps_http_response *response, int status);
PS_API void ps_http_response_header(ps_http_response *response, const char *name, const char *value);
/* Appends to the body; false once it is over the client's max_body: stop then. */
PS_API bool ps_http_response_write(ps_http_response *response, const char *bytes, size_t length);
/* `kind`: PS_ERROR_CONNECTION, _TIMEOUT, _TLS, _CANCELLED or _PROTOCOL. `outcome`: PS_OUTCOME_NOT_SENT only if certainly no
 * byte of the request reached the server. A response left empty counts as a lost connection, unknown. */
PS_API void ps_http_response_fail(ps_http_response *response, ps_error kind, ps_outcome outcome, const char *reason);
/* Whatever the response or the failure, this request is not sent again: its transport knows better. */
PS_API void ps_http_response_final(ps_http_response *response);

/* ---- 8 The table ---------------------------------------------------------------------------------------------------
 *
 * Everything here is constant: no allocation, no failure, any thread. A `_find` returns NULL for an unknown name; a
 * `_next` takes NULL for the first and returns NULL after the last, in the order of the names. */

typedef struct ps_api_operation ps_api_operation;
typedef struct ps_api_service ps_api_service;
typedef struct ps_api_type ps_api_type;
typedef struct ps_api_field ps_api_field;
typedef struct ps_api_event ps_api_event;

PS_API const char *ps_api_version(void);            /* "2026-10-28.endive": sent as Stripe-Version */
PS_API const char *ps_api_base(const char *name);   /* "api", "files", "connect", "meter_events"; NULL if unknown */
PS_API const char *ps_api_error_code(size_t index); /* known values of an error's code; NULL past the last */
PS_API const char *ps_api_nearest_operation(const char *id); /* for messages; NULL if none is near */

PS_API const ps_api_service *ps_service_find(const char *path); /* "customers", "v2.core.events" */
PS_API const ps_api_service *ps_service_next(const ps_api_service *after);
PS_API const char *ps_service_path(const ps_api_service *s);
/* Services right below this one, as "accounts.persons" below "accounts"; `s` NULL: those at the top. */
PS_API const ps_api_service *ps_service_child(const ps_api_service *s, const ps_api_service *after);
PS_API const ps_api_operation *ps_service_operation(const ps_api_service *s, const char *name);
PS_API const ps_api_operation *ps_service_operation_next(const ps_api_service *s, const ps_api_operation *after);

/* Whether the service has an address of this name, which is built and not called: "authorize_url" of "oauth". */
PS_API bool ps_service_has_url(const ps_api_service *s, const char *name);

PS_API const ps_api_operation *ps_operation_find(const char *id);
PS_API const ps_api_operation *ps_operation_next(const ps_api_operation *after);
/* The operation of a method and a path, with ids ("/v1/charges/ch_1") or with names ("/v1/charges/{charge}"), with or
 * without a query. A literal segment wins over an id; an alias is never found. */
PS_API const ps_api_operation *ps_operation_route(const char *method, const char *path);
PS_API const char *ps_operation_id(const ps_api_operation *op);
PS_API const char *ps_operation_name(const ps_api_operation *op); /* "create" */
PS_API const ps_api_service *ps_operation_service(const ps_api_operation *op);
PS_API const char *ps_operation_method(const ps_api_operation *op);
PS_API const char *ps_operation_path(const ps_api_operation *op);                     /* "/v1/charges/{charge}" */
PS_API const char *ps_operation_path_param(const ps_api_operation *op, size_t index); /* "charge"; NULL past the last */
PS_API const char *ps_operation_base(const ps_api_operation *op);                     /* "api", "files", ... */
PS_API int ps_operation_version(const ps_api_operation *op);                          /* 1 or 2 */
PS_API const char *ps_operation_kind(const ps_api_operation *op);     /* plain, list, search, v2_list, upload, stream */
PS_API const char *ps_operation_encoding(const ps_api_operation *op); /* query, form, json, multipart */
PS_API bool ps_operation_params_required(const ps_api_operation *op);
PS_API const ps_api_type *ps_operation_params(const ps_api_operation *op); /* an object type, perhaps without fields */
/* "object", "list", "search_result", "v2_list", "binary", "none", "unknown". */
PS_API const char *ps_operation_returns_kind(const ps_api_operation *op);
/* Of a list: the list's type. NULL: unknown. */
PS_API const ps_api_type *ps_operation_returns(const ps_api_operation *op);
/* The class of a v2 error that it may end in, "TemporarySessionExpiredError"; NULL past the last. */
PS_API const char *ps_operation_throws(const ps_api_operation *op, size_t index);
PS_API const ps_api_operation *ps_operation_alias_of(const ps_api_operation *op); /* or NULL */
/* The Stripe-Version that it must be sent with; "" for the pinned one. */
PS_API const char *ps_operation_stripe_version(const ps_api_operation *op);
PS_API const char *ps_operation_status(const ps_api_operation *op); /* "", "removed", "preview", "docs_only" */
PS_API bool ps_operation_deprecated(const ps_api_operation *op);

typedef enum {
  PS_TYPE_ANY,
  PS_TYPE_STRING,
  PS_TYPE_INT,
  PS_TYPE_NUMBER,
  PS_TYPE_BOOL,
  PS_TYPE_TIMESTAMP, /* Unix seconds */
  PS_TYPE_DECIMAL,   /* a decimal number as a string */
  PS_TYPE_INT64,     /* an integer as a string (v2) */
  PS_TYPE_FILE,
  PS_TYPE_ENUM,   /* ps_type_value: its words */
  PS_TYPE_OBJECT, /* ps_field_next: its fields */
  PS_TYPE_ARRAY,
  PS_TYPE_MAP,
  PS_TYPE_LIST,       /* ps_type_item: of what; a list is a page {data, has_more, url} */
  PS_TYPE_RANGE,      /* {gt, gte, lt, lte} of ps_type_item, or one itself if PS_FLAG_SCALAR */
  PS_TYPE_REF,        /* an API object: ps_type_variant 0 */
  PS_TYPE_EXPANDABLE, /* an id, or one of ps_type_variant */
  PS_TYPE_UNION       /* one of ps_type_variant */
} ps_type_kind_id;

enum {
  PS_FLAG_REQUIRED = 1,  /* a parameter that must be given */
  PS_FLAG_OPTIONAL = 2,  /* a field that may be absent */
  PS_FLAG_EMPTYABLE = 4, /* "" unsets it */
  PS_FLAG_NULLABLE = 8,
  PS_FLAG_DEPRECATED = 16,
  PS_FLAG_OPEN = 32,      /* an enum that may gain words */
  PS_FLAG_DATE_TIME = 64, /* an RFC 3339 string */
  PS_FLAG_METADATA = 128, /* a map of the caller's own */
  PS_FLAG_SCALAR = 256,
  PS_FLAG_DELETED = 512, /* a reference to the deleted form of the object */
  PS_FLAG_TRUE = 1024    /* always true */
};

PS_API ps_type_kind_id ps_type_kind(const ps_api_type *t);
PS_API const char *ps_type_kind_name(const ps_api_type *t); /* "string", "enum", ... as in the description */
PS_API unsigned ps_type_flags(const ps_api_type *t);
PS_API const char *ps_type_name(const ps_api_type *t);                         /* of an API object, "charge"; else "" */
PS_API const ps_api_type *ps_type_item(const ps_api_type *t);                  /* or NULL */
PS_API const ps_api_type *ps_type_variant(const ps_api_type *t, size_t index); /* NULL past the last */
PS_API const char *ps_type_value(const ps_api_type *t, size_t index);          /* NULL past the last */
PS_API const ps_api_field *ps_field_find(const ps_api_type *t, const char *name);
PS_API const ps_api_field *ps_field_next(const ps_api_type *t, const ps_api_field *after);
PS_API const char *ps_field_name(const ps_api_field *f);
PS_API const ps_api_type *ps_field_type(const ps_api_field *f);
PS_API unsigned ps_field_flags(const ps_api_field *f);

PS_API const ps_api_type *ps_object_find(const char *name); /* "charge", "billing.meter" */
PS_API const ps_api_type *ps_object_next(const ps_api_type *after);
PS_API const ps_api_type *ps_object_deleted(const ps_api_type *object); /* its deleted form, or NULL */
PS_API const char *ps_object_id_prefix(const ps_api_type *object);      /* "ch_", or "" */
PS_API const char *ps_object_sdk_name(const ps_api_type *object);       /* "Charge" */

PS_API const ps_api_event *ps_event_find(const char *type); /* "charge.succeeded", "v2.core.account.created" */
PS_API const ps_api_event *ps_event_next(const ps_api_event *after);
PS_API const char *ps_event_type(const ps_api_event *e);
PS_API bool ps_event_thin(const ps_api_event *e);                        /* of v2, or a thin form of v1 */
PS_API const char *ps_event_object(const ps_api_event *e, size_t index); /* what it is about; NULL past the last */
PS_API const ps_api_type *ps_event_data(const ps_api_event *e);          /* fields of a thin event's data, or NULL */

/* The type beside any value: the type of a result's data, or NULL if the table does not know it; the type of what is
 * called `name` (a field, or any key of a map) in a value of type `t`; and what a reference, an expandable or a union
 * turns out to be, given the value. All take and return NULL for "unknown". */
PS_API const ps_api_type *ps_result_type(const ps_result *r);
PS_API const ps_api_type *ps_type_field(const ps_api_type *t, const char *name);
PS_API const ps_api_type *ps_type_resolve(const ps_api_type *t, const ps_value *v);

/* ---- 9 Webhooks ----------------------------------------------------------------------------------------------------
 *
 *   const char *secrets[] = {"whsec_...", NULL};
 *   ps_result *r = ps_event_parse(body, length, header, secrets, -1, -1);
 *   if (ps_result_ok(r)) puts(ps_str(ps_data(r), "type"));
 *   else if (ps_error_kind(r) == PS_ERROR_SIGNATURE) answer(400);
 *
 * `body` is the request's body, byte for byte as it came (NULL: an error that says so); `header` its Stripe-Signature (NULL
 * or "": an error); `secrets` those of the endpoint, ended by NULL: any may have signed, as while one is being replaced.
 * The signature's time may lie `tolerance` seconds from `now`, back or ahead: negative: 300; 0: any time. `now` is in Unix
 * seconds; negative: the system's clock. Nothing is sent; any thread.
 *
 * An error's kind is PS_ERROR_SIGNATURE with the code (ps_error_code) not_bytes, no_secret, no_header, no_v1,
 * no_timestamp, blank_secret, no_match or stale; PS_ERROR_PROTOCOL with not_json; PS_ERROR_USAGE with thin_event or
 * snapshot_event (the other function reads it) or not_an_event; or PS_ERROR_MEMORY. Its text never holds a secret or the
 * signature that was expected. */

/* The signature alone. */
PS_API ps_result *ps_webhook_verify(const char *body, size_t length, const char *header, const char *const *secrets,
                                    int64_t tolerance, int64_t now);
/* The signature, then the event. Its `data.object` has the type that its own `object` names; ps_event_find tells what is
 * known of its `type`, and unknown types are kept. */
PS_API ps_result *ps_event_parse(const char *body, size_t length, const char *header, const char *const *secrets,
                                 int64_t tolerance, int64_t now);
/* The same for a thin event (`object` is "v2.core.event"), which only says what happened to which `related_object`. */
PS_API ps_result *ps_notification_parse(const char *body, size_t length, const char *header, const char *const *secrets,
                                        int64_t tolerance, int64_t now);
/* For events that did not come by webhook: in an envelope of AWS EventBridge or Azure Event Grid, or bare. Nobody but the
 * sender of those vouches for them. */
PS_API ps_result *ps_event_parse_without_verification(const char *body, size_t length);
PS_API ps_result *ps_notification_parse_without_verification(const char *body, size_t length);
/* A Stripe-Signature header, "t=1700000000,v1=...", for tests; to be freed with ps_free. NULL: no body or secret, or no
 * memory. */
PS_API char *ps_webhook_sign(const char *body, size_t length, const char *secret, int64_t timestamp);

/* What a thin event is about: the event with its data, and the object that it names. Both are asked for in the event's own
 * context, and in no account. A `related_object.url` that is no path on Stripe's own host is refused. */
PS_API ps_result *ps_notification_event(ps_client *client, const ps_value *notification);
PS_API ps_result *ps_notification_related_object(ps_client *client, const ps_value *notification);
PS_API ps_exchange *ps_exchange_new_event(ps_client *client, const ps_value *notification);
PS_API ps_exchange *ps_exchange_new_related_object(ps_client *client, const ps_value *notification);

/* Gives each thin event to the function of its type, all others to the fallback, which learns whether the table knows the
 * type. Each is called with a client scoped to the event's context, held for that call. */
typedef struct ps_handler ps_handler;
typedef void (*ps_notification_fn)(void *context, ps_client *client, const ps_value *notification);
typedef void (*ps_notification_fallback)(void *context, ps_client *client, const ps_value *notification, bool known);
/* False: the event is done with, and given to nobody. */
typedef bool (*ps_notification_veto)(void *context, ps_client *client, const ps_value *notification);

/* `context` is the first argument of each function. NULL: no memory. */
PS_API ps_handler *ps_handler_new(ps_client *client, ps_notification_fallback fallback, void *context);
/* NULL, or why not: the type has a function already; an event was handled already, which closes registration; no memory. */
PS_API const char *ps_handler_on(ps_handler *h, const char *type, ps_notification_fn run);
/* Runs before each event's function. */
PS_API const char *ps_handler_pre_handle(ps_handler *h, ps_notification_veto pre_handle);
/* As ps_notification_parse; after a success the event has been handled. */
PS_API ps_result *ps_handler_handle(ps_handler *h, const char *body, size_t length, const char *header,
                                    const char *const *secrets, int64_t tolerance, int64_t now);
PS_API ps_result *ps_handler_handle_without_verification(ps_handler *h, const char *body, size_t length);
PS_API void ps_handler_free(ps_handler *h);

/* ---- 10 Meters -----------------------------------------------------------------------------------------------------
 *
 *   ps_meter *m = ps_meter_new(stripe, -1, -1);
 *   ps_value *event = ps_params("event_name", "api_requests", "payload[stripe_customer_id]", "cus_1", NULL);
 *   ps_value_set_str(ps_map_set(ps_map_set(event, "payload"), "value"), "25");
 *   const char *wrong = ps_meter_add(m, event);
 *   if (!wrong && ps_meter_wait(m) == 0 && !ps_meter_flush(m)) puts(ps_error_message(ps_meter_result(m)));
 *   if (!ps_meter_finish(m)) puts(ps_error_message(ps_meter_result(m)));
 *
 * A queue of meter events, sent to the meter event stream in batches of up to 100 with a session token that is fetched when
 * needed. What is queued stays so until the server has taken it: after an error the next flush sends it again, and the
 * identifier that each event has lets it count once. One thread at a time. */
typedef struct ps_meter ps_meter;

/* `max_age`: seconds after which an event is due though its batch is not full; negative: 1. `max_pending`: how many
 * may be queued; 0 or less: 10,000. NULL: no memory. */
PS_API ps_meter *ps_meter_new(ps_client *client, double max_age, int64_t max_pending);
/* Queues a copy. An event without `identifier` or `timestamp` gets a UUID and the present time. NULL, or why it was not
 * queued: no event, a full queue, no memory. */
PS_API const char *ps_meter_add(ps_meter *m, const ps_value *event);
PS_API size_t ps_meter_pending(const ps_meter *m);
/* Milliseconds until something is due; 0: now, as 100 events are there, or one is old enough; -1: nothing is queued. After
 * an error nothing is due before a pause is over, which grows like the waits between the attempts of a call (up to 5 s,
 * or what Retry-After says) until a batch is taken; ps_meter_pause: what is left of it, 0: nothing. */
PS_API int64_t ps_meter_wait(const ps_meter *m);
PS_API int64_t ps_meter_pause(const ps_meter *m);
/* Sends all that is queued, at once, due or not. False: an error, which ps_meter_result tells; the rest is still queued. */
PS_API bool ps_meter_flush(ps_meter *m);
PS_API const ps_result *ps_meter_result(const ps_meter *m);
/* After an error that will not pass (an event that the server refuses): takes the failed batch out of the queue, and
 * returns its events, a list, to be freed; poisoned, and nothing is taken out, if there is no memory. */
PS_API ps_value *ps_meter_skip(ps_meter *m);
/* The last flush: a batch that the server refuses is passed over, and what comes after it is sent. False: the queue is not
 * empty; ps_meter_pending tells how many events were not sent, ps_meter_result why, and ps_meter_skip returns those that
 * were refused. */
PS_API bool ps_meter_finish(ps_meter *m);
/* What is still queued is dropped: finish first. */
PS_API void ps_meter_free(ps_meter *m);
/* For a driver of one's own: the exchange (owned by the meter) that is next, of a token or of a batch; NULL: nothing is
 * queued, or only what was set aside. After it is done, ps_meter_feed takes its result in: false on an error. Then, in a
 * last flush, ps_meter_set_aside passes over a batch that the server has refused; false: it has not, as the key, the
 * connection or the server itself failed. */
PS_API ps_exchange *ps_meter_exchange(ps_meter *m);
PS_API bool ps_meter_feed(ps_meter *m);
PS_API bool ps_meter_set_aside(ps_meter *m);

#ifdef __cplusplus
}
#endif

#include "pinstripe_operations.h"

#endif
