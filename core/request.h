/* Operation + ids + params + options → method, URL, headers, body. Pure: no clock, no network. */
#ifndef PS_REQUEST_H
#define PS_REQUEST_H

#include "api.h"
#include "form.h"

enum { PS_BASE_API, PS_BASE_FILES, PS_BASE_CONNECT, PS_BASE_METER_EVENTS, PS_BASES };

/* Options of a client or call after defaults; what a request is made with. Strings are the client's or the exchange's. */
typedef struct ps_settings {
  const char *api_key, *client_key;            /* the call's, and the client's own */
  const char *stripe_account, *stripe_context; /* NULL or "": none */
  const char *stripe_version, *call_version;   /* the client's and the call's, or NULL; an operation's stands between */
  const char *idempotency_key;                 /* NULL: a fresh one */
  const char *bases[PS_BASES];
  const char *base; /* by name, in place of the operation's; NULL */
  const char *client_id;
  const ps_value *headers, *more_headers, *app_info; /* maps or NULL; more_headers are the call's */
  const char *lang, *httplib;                        /* "lua 5.4", "libcurl/7.88.1": for the User-Agent headers */
  const char *user_agents[2], *client_user_agent;    /* those headers, from ps_settings_describe; of v1 and v2 */
  bool strict, raw;                                  /* raw: the answer's bytes, whatever they are */
  const char *body, *content_type; /* the exact body, and what it is, in place of the params; or NULL */
  int64_t body_length;             /* negative: up to its NUL */
  ps_sources sources;              /* of an upload's file, beside the params */
  int64_t max_retries, max_body;
  double timeout, connect_timeout, deadline; /* seconds; deadline negative: not set */
} ps_settings;

/* What the calls that go on from one share with it: its key, account, context, version, base and headers. Strings are
 * copied, the headers borrowed. */
void ps_call_options_keep(ps_call_options *to, const ps_call_options *from, ps_arena *arena, ps_fault *fault);

/* Makes the headers that say who calls, the same for all requests of a client, from lang, httplib and app_info. */
void ps_settings_describe(ps_settings *s, ps_arena *arena, ps_fault *fault);

/* What to call: `operation` with `ids`, or `method` and `path`. */
typedef struct ps_target {
  const ps_api_operation *operation; /* NULL: a path that the table does not know */
  const char *method, *path;         /* of ps_request, else NULL */
  const char *const *ids;
  bool download, keyless; /* a file's bytes, whatever the table says; no key is sent for them */
  bool followed;          /* the path is a page's own word for the next one, to be sent as it is */
} ps_target;

enum { MORE_HEADERS = 2 /* Range and If-Range, of a download that goes on */ };

typedef struct ps_request_plan {
  ps_arena *arena;
  ps_http_request http;    /* timeouts are the exchange's */
  ps_http_header *headers; /* its own, and room for MORE_HEADERS */
  size_t own_header_count;
  const ps_api_operation *operation;
  const char *path;            /* of the URL, with the query */
  const char *idempotency_key; /* NULL: none */
  ps_body memory;              /* behind http.body, unless it is multipart */
  struct ps_memory_body {
    const char *data;
    size_t length, position;
  } source;
  ps_multipart *multipart;
  bool transfer; /* an upload or download: no default deadline, the timeout counts standstill */
  bool binary;   /* the answer is not JSON */
} ps_request_plan;

/* False with `fault` set: PS_ERROR_USAGE, _AUTHENTICATION (no key) or _MEMORY. Dispose in either case. */
bool ps_request_build(ps_request_plan *plan, const ps_settings *s, const ps_target *target, const ps_value *params,
                      ps_fault *fault);
/* Appends an address that is built and not called. */
void ps_url_build(ps_buf *out, const ps_settings *s, const ps_api_url *url, const ps_value *params, bool express,
                  ps_fault *fault);
/* The operation's path with the ids in it, appended to `out`. */
void ps_target_path(ps_buf *out, const ps_target *target, ps_fault *fault);
/* A map of what a query says, "a[b]=1&c=2", as strings, and over it `params`; `expand` is united. To be freed. */
ps_value *ps_query_merge(const char *query, const ps_value *params);
void ps_request_dispose(ps_request_plan *plan);
/* Whether a URL's host is this machine: "localhost", 127.0.0.0/8 or [::1]. */
bool ps_url_is_loopback(const char *url);
/* Header names compare without case, in ASCII. */
bool ps_header_is(const char *name, const char *other);
/* Whether an address from outside may be followed with a key: one leading "/", not "//", no control character. If not, the
 * fault tells it, called `what`, but for its query. */
bool ps_path_check(const char *what, const char *path, ps_fault *fault);
/* A fresh UUID (version 4, RFC 9562); false: the random source failed. */
bool ps_uuid(char out[37]);

#endif
