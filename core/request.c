/* From a call to a request. Params are copied once, by `prepare`, which is where the table is asked: it names unknown
 * parameters, turns API objects into ids, gives v2's 64-bit and decimal strings their form, and tells `[]` from `{}`.
 * What comes out of it is encoded as it stands.
 *
 *   params ──prepare (types)──▶ tree ──form, JSON or multipart──▶ body or query */
#include "request.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>

#include "api.h"
#include "json.h"

bool ps_header_is(const char *name, const char *other) {
  for (; *name && *other; name++, other++) {
    char a = *name, b = *other;
    if (a >= 'A' && a <= 'Z') a = (char)(a + 32);
    if (b >= 'A' && b <= 'Z') b = (char)(b + 32);
    if (a != b) return false;
  }
  return *name == *other;
}

bool ps_path_check(const char *what, const char *path, ps_fault *fault) {
  bool safe = path[0] == '/' && path[1] != '/';
  for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
    if (*p <= ' ' || *p >= 0x7f || *p == '\\' || *p == '#') safe = false;
  }
  if (safe) return true;
  ps_fault_set(fault, PS_ERROR_USAGE, "%s %.*s must begin with one \"/\", be percent-encoded and name no host", what,
               (int)strcspn(path, "?"), path);
  return false;
}

bool ps_url_is_loopback(const char *url) {
  const char *host = strstr(url, "://");
  if (!host) return false;
  host += 3;
  size_t length = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
  if (memchr(host, '@', strcspn(host, "/?#"))) return false;
  if (length == 9 && strncmp(host, "localhost", 9) == 0) return true;
  if (length == 5 && strncmp(host, "[::1]", 5) == 0) return true;
  char address[INET_ADDRSTRLEN] = "";
  unsigned char bytes[4];
  if (length < sizeof address) memcpy(address, host, length);
  return inet_pton(AF_INET, address, bytes) == 1 && bytes[0] == 127;
}

bool ps_uuid(char out[37]) {
  unsigned char b[16];
  if (!ps_random(b, sizeof b)) return false;
  b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
  b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
  for (int i = 0, at = 0; i < 16; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out[at++] = '-';
    at += snprintf(out + at, 3, "%02x", b[i]);
  }
  return true;
}

void ps_call_options_keep(ps_call_options *to, const ps_call_options *from, ps_arena *arena, ps_fault *fault) {
  to->api_key = ps_fault_copy(fault, arena, from->api_key);
  to->stripe_account = ps_fault_copy(fault, arena, from->stripe_account);
  to->stripe_context = ps_fault_copy(fault, arena, from->stripe_context);
  to->stripe_version = ps_fault_copy(fault, arena, from->stripe_version);
  to->base = ps_fault_copy(fault, arena, from->base);
  to->headers = from->headers;
}

/* ---- Params ---- */

typedef struct {
  ps_fault *fault;
  const char *operation;
  bool strict, json, v2;
  ps_buf path; /* of the value at hand, for errors: params.items[2].price */
} preparation;

static void usage(preparation *p, const char *what) {
  if (p->path.failed) ps_fault_memory(p->fault);
  ps_fault_set(p->fault, PS_ERROR_USAGE, "%s %s", ps_buf_text(&p->path), what);
}

static bool is_api_object(const ps_value *v, const ps_api_type *type) {
  if (type && ps_type_kind(type) == PS_TYPE_MAP) return false;
  const ps_value *id = ps_map_get(v, "id", 2), *object = ps_map_get(v, "object", 6);
  return id && object && id->type == PS_STRING && object->type == PS_STRING && id->length > 0;
}

static bool has_fields(const ps_api_type *type) {
  if (!type) return false;
  ps_type_kind_id kind = ps_type_kind(type);
  return kind == PS_TYPE_OBJECT || kind == PS_TYPE_RANGE;
}

static void refuse_unknown(preparation *p, const ps_api_type *type, const ps_value *child) {
  const char *nearest = ps_type_nearest_field(type, child->key);
  if (p->path.failed) ps_fault_memory(p->fault);
  ps_fault_set(p->fault, PS_ERROR_USAGE, "%s is not a parameter of %s%s%s", ps_buf_text(&p->path), p->operation,
               nearest ? "; the nearest is " : "", nearest ? nearest : "");
}

/* A native number where v2 sends a string: 64-bit, decimal, or a time. */
static bool prepare_string(ps_value *to, const ps_value *from, const ps_api_type *type) {
  ps_type_kind_id kind = type ? ps_type_kind(type) : PS_TYPE_ANY;
  char text[40];
  if (kind == PS_TYPE_STRING && (ps_type_flags(type) & PS_FLAG_DATE_TIME) && from->type == PS_INT) {
    struct tm date;
    time_t seconds = (time_t)from->as.integer;
    if (!gmtime_r(&seconds, &date) || !strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &date)) return false;
  } else if ((kind == PS_TYPE_INT64 || kind == PS_TYPE_DECIMAL) && from->type == PS_INT) {
    snprintf(text, sizeof text, "%lld", (long long)from->as.integer);
  } else if ((kind == PS_TYPE_INT64 || kind == PS_TYPE_DECIMAL) && from->type == PS_NUMBER) {
    ps_value_set_strn(to, from->as.text, from->length);
    return true;
  } else {
    return false;
  }
  ps_value_set_str(to, text);
  return true;
}

/* A form has no exponents. */
static void prepare_exponent(preparation *p, ps_value *to, const ps_value *from) {
  double d = ps_double(from, NULL);
  if (isfinite(d)) ps_value_set_double(to, d);
  else usage(p, "is too large a number");
}

static void prepare(preparation *p, ps_value *to, const ps_value *from, const ps_api_type *type);

static void prepare_map(preparation *p, ps_value *to, const ps_value *from, const ps_api_type *type) {
  if (from->length == 0 && type && ps_type_kind(type) == PS_TYPE_ARRAY) {
    ps_value_set_list(to);
    return;
  }
  ps_value_set_map(to);
  size_t outer = p->path.length;
  for (const ps_value *child = ps_first(from); child; child = ps_next(child)) {
    const ps_api_type *child_type = type ? ps_type_field(type, child->key) : NULL;
    if (child->key_length == 0) usage(p, "has an empty key");
    ps_buf_char(&p->path, '.');
    ps_buf_add(&p->path, child->key, child->key_length);
    if (p->json && !ps_utf8_valid(child->key, child->key_length)) usage(p, "is not UTF-8");
    if (p->strict && !child_type && has_fields(type)) refuse_unknown(p, type, child);
    prepare(p, ps_map_setn(to, child->key, child->key_length), child, child_type);
    p->path.length = outer;
  }
}

static void prepare_list(preparation *p, ps_value *to, const ps_value *from, const ps_api_type *type) {
  ps_value_set_list(to);
  size_t outer = p->path.length;
  int64_t index = 0;
  for (const ps_value *child = ps_first(from); child; child = ps_next(child), index++) {
    ps_buf_format(&p->path, "[%lld]", (long long)index);
    prepare(p, ps_list_add(to), child, type ? ps_type_item(type) : NULL);
    p->path.length = outer;
  }
}

static void prepare(preparation *p, ps_value *to, const ps_value *from, const ps_api_type *type) {
  if (type && ps_type_kind(type) == PS_TYPE_FILE) {
    ps_value_copy(to, from);
  } else if (from->type == PS_MAP && is_api_object(from, type)) {
    ps_value_copy(to, ps_map_get(from, "id", 2));
  } else if (from->type == PS_MAP) {
    prepare_map(p, to, from, type);
  } else if (from->type == PS_LIST) {
    prepare_list(p, to, from, type);
  } else if (!p->json && from->type == PS_NUMBER && strpbrk(from->as.text, "eE")) {
    prepare_exponent(p, to, from);
  } else if (!p->v2 || !prepare_string(to, from, type)) {
    if (p->json && from->type == PS_STRING && !ps_utf8_valid(from->as.text, from->length)) usage(p, "is not UTF-8");
    ps_value_copy(to, from);
  }
}

/* The tree to encode, to be freed; NULL: none, as for a form that stays empty, or the fault is set. */
static ps_value *prepare_params(preparation *p, const ps_value *params, const ps_api_type *type) {
  if (!params && !p->json) return NULL;
  ps_value *to = ps_value_new();
  if (params && ps_value_is_poisoned(params)) *p->fault = *ps_value_fault(params);
  ps_buf_str(&p->path, "params");
  if (params && params->type != PS_NULL && params->type != PS_MAP) usage(p, "must be a map of names to values");
  else if (params && params->type == PS_MAP) prepare_map(p, to, params, type);
  else ps_value_set_map(to);
  if (p->path.failed) ps_fault_memory(p->fault);
  if (ps_value_is_poisoned(to) && p->fault->kind == PS_ERROR_NONE) *p->fault = *ps_value_fault(to);
  ps_buf_dispose(&p->path);
  if (p->fault->kind == PS_ERROR_NONE) return to;
  ps_value_free(to);
  return NULL;
}

/* ---- Path and query ---- */

static void add_id(ps_buf *out, const ps_api_operation *op, const char *name, const char *id, ps_fault *fault) {
  if (!id) {
    ps_fault_set(fault, PS_ERROR_USAGE, "%s needs the id `%s`", ps_operation_id(op), name);
  } else if (*id == '\0' || strcmp(id, ".") == 0 || strcmp(id, "..") == 0) {
    ps_fault_set(fault, PS_ERROR_USAGE, "%s: the id `%s` must not be \"%s\"", ps_operation_id(op), name, id);
  } else {
    ps_form_escape(out, id, strlen(id));
  }
}

void ps_target_path(ps_buf *out, const ps_target *target, ps_fault *fault) {
  const ps_api_operation *op = target->operation;
  const char *const *ids = target->ids;
  size_t used = 0;
  for (const char *p = ps_operation_path(op);; p = strchr(p, '}') + 1) {
    size_t length = strcspn(p, "{");
    ps_buf_add(out, p, length);
    p += length;
    if (!*p) break;
    add_id(out, op, ps_operation_path_param(op, used), ids ? *ids : NULL, fault);
    if (ids && *ids) ids++;
    used++;
  }
  if (ids && *ids) ps_fault_set(fault, PS_ERROR_USAGE, "%s takes %zu ids, not more", ps_operation_id(op), used);
}

/* The value of a hexadecimal digit, or -1. */
static int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  c = (char)(c | 0x20);
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void unescape(ps_buf *out, const char *s, size_t length) {
  for (size_t i = 0; i < length; i++) {
    if (s[i] == '%' && i + 2 < length && hex(s[i + 1]) >= 0 && hex(s[i + 2]) >= 0) {
      ps_buf_char(out, (char)(hex(s[i + 1]) << 4 | hex(s[i + 2])));
      i += 2;
    } else {
      ps_buf_char(out, s[i] == '+' ? ' ' : s[i]);
    }
  }
}

/* Sets what a query says in `params`, as strings. */
static void read_query(ps_value *params, const char *query) {
  ps_buf name = PS_BUF_INIT, text = PS_BUF_INIT;
  ps_fault no_memory = {.kind = PS_ERROR_NONE};
  ps_fault_memory(&no_memory);
  while (*query) {
    size_t length = strcspn(query, "&"), key = strcspn(query, "=&");
    size_t value = key < length ? key + 1 : length;
    name.length = text.length = 0;
    unescape(&name, query, key);
    unescape(&text, query + value, length - value);
    if (name.failed || text.failed) ps_value_poison(params, &no_memory);
    else if (key) ps_value_set_strn(ps_value_at_path(params, ps_buf_text(&name)), ps_buf_text(&text), text.length);
    query += length + (query[length] == '&');
  }
  ps_buf_dispose(&name);
  ps_buf_dispose(&text);
}

static bool has_item(const ps_value *list, const ps_value *item) {
  for (const ps_value *v = ps_first(list); v; v = ps_next(v)) {
    if (ps_value_equal(v, item)) return true;
  }
  return false;
}

ps_value *ps_query_merge(const char *query, const ps_value *params) {
  ps_value *merged = ps_value_new();
  ps_value_set_map(merged);
  read_query(merged, query);
  if (params->type != PS_MAP) ps_value_copy(merged, params);
  if (params->type != PS_MAP) return merged;
  ps_value_poison(merged, ps_value_fault(params));
  for (const ps_value *v = ps_first(params); v; v = ps_next(v)) {
    ps_value *to = ps_map_setn(merged, v->key, v->key_length);
    if (strcmp(v->key, "expand") != 0 || v->type != PS_LIST || to->type != PS_LIST) {
      ps_value_copy(to, v);
      continue;
    }
    for (const ps_value *item = ps_first(v); item; item = ps_next(item)) {
      if (!has_item(to, item)) ps_value_copy(ps_list_add(to), item);
    }
  }
  return merged;
}

/* ---- Headers ---- */

enum { MOST_HEADERS = 64 };

typedef struct {
  ps_arena *arena;
  ps_http_header *rows;
  size_t count;
  ps_fault *fault;
} header_list;

static bool is_token(const char *s) {
  if (!*s) return false;
  for (; *s; s++) {
    if (*s <= ' ' || *s >= 0x7f || strchr("()<>@,;:\\\"/[]?={}", *s)) return false;
  }
  return true;
}

static void refuse_header(ps_fault *fault, const char *name) {
  ps_fault_set(fault, PS_ERROR_USAGE, "the header %s holds a character that headers cannot", name);
}

/* Adds a header, or replaces the one of that name, which is a token. Both strings are borrowed. */
static void set_header(header_list *h, const char *name, const char *value) {
  size_t at = 0;
  while (at < h->count && !ps_header_is(h->rows[at].name, name)) at++;
  if (ps_has_control(value)) {
    refuse_header(h->fault, name);
  } else if (at == MOST_HEADERS) {
    ps_fault_set(h->fault, PS_ERROR_USAGE, "more than %d headers", MOST_HEADERS);
  } else {
    h->rows[at] = (ps_http_header){name, value};
    if (at == h->count) h->count++;
  }
}

/* The same for what is known to be good, and the first of its name; NULL: no memory. */
static void add_header(header_list *h, const char *name, const char *value) {
  if (value) h->rows[h->count++] = (ps_http_header){name, value};
  else ps_fault_memory(h->fault);
}

typedef struct {
  const char *name, *source;
} made_header;

/* The headers that are not a caller's to set: one key for all calls, or a length that is not the body's, would do harm. */
static const made_header *find_made(const char *name) {
  static const made_header made[] = {{"Authorization", "the option api_key"},
                                     {"Idempotency-Key", "the option idempotency_key"},
                                     {"Content-Length", "the body"},
                                     {"Transfer-Encoding", "the body"}};
  for (size_t i = 0; i < sizeof made / sizeof *made; i++) {
    if (ps_header_is(name, made[i].name)) return &made[i];
  }
  return NULL;
}

static void set_callers_headers(header_list *h, const ps_value *map) {
  if (map && map->type != PS_MAP && map->type != PS_NULL) {
    ps_fault_set(h->fault, PS_ERROR_USAGE, "the option headers must be a map of names to strings");
    return;
  }
  for (const ps_value *v = ps_first(map); v; v = ps_next(v)) {
    const made_header *made = find_made(v->key);
    if (v->type != PS_STRING || v->length != strlen(v->as.text) || v->key_length != strlen(v->key)) {
      ps_fault_set(h->fault, PS_ERROR_USAGE, "the header %s must be a string without a NUL", v->key);
    } else if (made) {
      ps_fault_set(h->fault, PS_ERROR_USAGE, "the header %s is made from %s", made->name, made->source);
    } else if (!is_token(v->key)) {
      refuse_header(h->fault, v->key);
    } else {
      set_header(h, v->key, v->as.text);
    }
  }
}

static void add_user_agent(ps_buf *b, const ps_settings *s) {
  ps_buf_format(b, "pinstripe/%s (%s)", PS_VERSION, s->lang);
  const char *name = ps_str(s->app_info, "name"), *version = ps_str(s->app_info, "version"),
             *url = ps_str(s->app_info, "url");
  if (*name) ps_buf_format(b, " %s", name);
  if (*name && *version) ps_buf_format(b, "/%s", version);
  if (*name && *url) ps_buf_format(b, " (%s)", url);
}

static void add_client_user_agent(ps_buf *b, const ps_settings *s) {
  ps_value *v = ps_value_new();
  struct utsname system;
  size_t lang = strcspn(s->lang, " ");
  ps_value_set_str(ps_map_set(v, "bindings_version"), PS_VERSION);
  ps_value_set_strn(ps_map_set(v, "lang"), s->lang, lang);
  if (s->lang[lang]) ps_value_set_str(ps_map_set(v, "lang_version"), s->lang + lang + 1);
  if (uname(&system) == 0) {
    char platform[sizeof system.sysname + sizeof system.machine + 1];
    snprintf(platform, sizeof platform, "%s %s", system.sysname, system.machine);
    ps_value_set_str(ps_map_set(v, "platform"), platform);
  }
  ps_value_set_str(ps_map_set(v, "httplib"), s->httplib);
  ps_value_set_str(ps_map_set(v, "publisher"), "pinstripe");
  if (s->app_info) ps_value_copy(ps_map_set(v, "application"), s->app_info);
  ps_json_write(b, v);
  if (ps_value_is_poisoned(v)) b->failed = true;
  ps_value_free(v);
}

void ps_settings_describe(ps_settings *s, ps_arena *arena, ps_fault *fault) {
  ps_buf agent = PS_BUF_INIT, description = PS_BUF_INIT;
  add_user_agent(&agent, s);
  add_client_user_agent(&description, s);
  if (agent.failed || description.failed) ps_fault_memory(fault);
  if (ps_has_control(ps_buf_text(&agent))) refuse_header(fault, "User-Agent");
  s->user_agents[0] = ps_arena_join(arena, "Stripe/v1 ", ps_buf_text(&agent), NULL);
  s->user_agents[1] = ps_arena_join(arena, "Stripe/v2 ", ps_buf_text(&agent), NULL);
  s->client_user_agent = ps_arena_str(arena, ps_buf_text(&description));
  if (!s->user_agents[0] || !s->user_agents[1] || !s->client_user_agent) ps_fault_memory(fault);
  ps_buf_dispose(&agent);
  ps_buf_dispose(&description);
}

static void set_authorization(header_list *h, const ps_settings *s) {
  if (!s->api_key || !*s->api_key) {
    ps_fault_set(h->fault, PS_ERROR_AUTHENTICATION, "no API key: give the client one, or set STRIPE_API_KEY");
    return;
  }
  if (strchr(s->api_key, ' ') || ps_has_control(s->api_key)) {
    ps_fault_set(h->fault, PS_ERROR_AUTHENTICATION, "the API key holds a space or a control character");
    return;
  }
  add_header(h, "Authorization", ps_arena_join(h->arena, "Bearer ", s->api_key, NULL));
}

static bool is_read(const char *method) { return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0; }

static const char *version_for(const ps_settings *s, const ps_api_operation *op, ps_fault *fault) {
  if (s->call_version) return s->call_version;
  if (op && strcmp(ps_operation_id(op), "ephemeral_keys.create") == 0) {
    ps_fault_set(fault, PS_ERROR_USAGE, "ephemeral_keys.create needs the option stripe_version: the mobile SDK's own");
  }
  if (op && *ps_operation_stripe_version(op)) return ps_operation_stripe_version(op);
  return s->stripe_version ? s->stripe_version : ps_api_version();
}

/* The call's own, or for a write a fresh one; NULL: none, or the fault is set. */
static const char *idempotency_key(const header_list *h, const ps_settings *s, bool write) {
  char fresh[37];
  const char *key = s->idempotency_key;
  if (key && (!*key || strlen(key) > 255)) {
    ps_fault_set(h->fault, PS_ERROR_USAGE, "idempotency_key must have 1 to 255 bytes, not %zu", strlen(key));
  } else if (key && ps_has_control(key)) {
    refuse_header(h->fault, "Idempotency-Key");
  } else if (key || !write) {
    return key;
  } else if (ps_uuid(fresh)) {
    return ps_fault_copy(h->fault, h->arena, fresh);
  } else {
    ps_fault_set(h->fault, PS_ERROR_USAGE, "the system's random source failed: no idempotency key could be made");
  }
  return NULL;
}

static void set_headers(ps_request_plan *plan, const ps_settings *s, const char *content_type, bool v2, bool keyless,
                        ps_fault *fault) {
  header_list h = {plan->arena, ps_arena_alloc(plan->arena, (MOST_HEADERS + MORE_HEADERS) * sizeof(ps_http_header)), 0,
                   fault};
  if (!h.rows) {
    ps_fault_memory(fault);
    return;
  }
  if (!keyless) set_authorization(&h, s);
  set_header(&h, "Stripe-Version", version_for(s, plan->operation, fault));
  add_header(&h, "User-Agent", s->user_agents[v2]);
  add_header(&h, "X-Stripe-Client-User-Agent", s->client_user_agent);
  plan->idempotency_key = idempotency_key(&h, s, !is_read(plan->http.method));
  if (plan->idempotency_key) add_header(&h, "Idempotency-Key", plan->idempotency_key);
  if (!keyless && s->stripe_account && *s->stripe_account) set_header(&h, "Stripe-Account", s->stripe_account);
  if (!keyless && s->stripe_context && *s->stripe_context) set_header(&h, "Stripe-Context", s->stripe_context);
  if (content_type) set_header(&h, "Content-Type", content_type);
  if (plan->binary) set_header(&h, "Accept-Encoding", "identity"); /* ranges are of that, and so is a length */
  set_callers_headers(&h, s->headers);
  set_callers_headers(&h, s->more_headers);
  plan->http.headers = plan->headers = h.rows;
  plan->http.header_count = plan->own_header_count = h.count;
}

/* ---- The request ---- */

static bool is_test_key(const char *key) {
  return key && (strncmp(key, "sk_test_", 8) == 0 || strncmp(key, "rk_test_", 8) == 0);
}

/* The token of a meter session has no mode of its own: it was had with the client's key. */
static bool stands_for_test_key(const ps_settings *s) {
  return is_test_key(s->client_key) && s->api_key && !strstr(s->api_key, "_live_");
}

static const char *base_for(const ps_settings *s, const ps_api_operation *op, ps_fault *fault) {
  static const char *const names[PS_BASES] = {"api", "files", "connect", "meter_events"};
  const char *name = s->base ? s->base : op ? ps_operation_base(op) : "api";
  size_t i = 0;
  while (i < PS_BASES && strcmp(name, names[i]) != 0) i++;
  if (i == PS_BASES) {
    ps_fault_set(fault, PS_ERROR_USAGE, "the option base must be api, files, connect or meter_events, not %s", name);
    return "";
  }
  bool test_key = is_test_key(s->api_key) || (i == PS_BASE_METER_EVENTS && stands_for_test_key(s));
  if (strncmp(s->bases[i], "https://", 8) != 0 && !test_key && !ps_url_is_loopback(s->bases[i])) {
    ps_fault_set(fault, PS_ERROR_USAGE, "%s_base must be https: plain http is for loopback, or for a test key", name);
  }
  return s->bases[i];
}

static ptrdiff_t memory_read(void *context, char *buffer, size_t size) {
  struct ps_memory_body *b = context;
  size_t left = b->length - b->position, n = size < left ? size : left;
  memcpy(buffer, b->data + b->position, n);
  b->position += n;
  return (ptrdiff_t)n;
}

static bool memory_rewind(void *context) {
  ((struct ps_memory_body *)context)->position = 0;
  return true;
}

/* `text` becomes the body, in the plan's arena. */
static void set_memory_body(ps_request_plan *plan, ps_buf *text, ps_fault *fault) {
  const char *copy = text->failed ? NULL : ps_arena_strn(plan->arena, ps_buf_text(text), text->length);
  if (!copy) ps_fault_memory(fault);
  plan->source = (struct ps_memory_body){copy, text->length, 0};
  plan->memory = (ps_body){(int64_t)text->length, memory_read, memory_rewind, &plan->source, NULL};
  plan->http.body = &plan->memory;
}

static bool is_file_param(const void *context, const char *key) {
  const ps_api_type *type = ps_type_field(context, key);
  return type && ps_type_kind(type) == PS_TYPE_FILE;
}

/* Sets the body; returns its content type. */
static const char *encode_body(ps_request_plan *plan, const char *encoding, const ps_value *params,
                               const ps_settings *s, ps_fault *fault) {
  if (strcmp(encoding, "multipart") == 0) {
    plan->multipart = ps_multipart_new(params, is_file_param, ps_operation_params(plan->operation), &s->sources, fault);
    if (!plan->multipart) return NULL;
    plan->http.body = ps_multipart_body(plan->multipart);
    return ps_multipart_content_type(plan->multipart);
  }
  ps_buf text = PS_BUF_INIT;
  bool json = strcmp(encoding, "json") == 0;
  if (s->body) ps_buf_add(&text, s->body, s->body_length < 0 ? strlen(s->body) : (size_t)s->body_length);
  else if (json) ps_json_write(&text, params);
  else ps_form_encode(&text, params);
  set_memory_body(plan, &text, fault);
  ps_buf_dispose(&text);
  if (s->content_type) return s->content_type;
  return json ? "application/json" : "application/x-www-form-urlencoded";
}

/* "/v1/charges?limit=3" in two. */
static void split_path(ps_buf *path, ps_buf *query, const char *given, ps_fault *fault) {
  size_t length = strcspn(given, "?");
  ps_path_check("the path", given, fault);
  ps_buf_add(path, given, length);
  if (given[length]) ps_buf_str(query, given + length + 1);
}

static void set_url(ps_request_plan *plan, const char *base, ps_buf *path, ps_buf *query, ps_fault *fault) {
  const char *mark = query->length ? "?" : "";
  plan->http.url = ps_arena_join(plan->arena, base, ps_buf_text(path), mark, ps_buf_text(query), NULL);
  if (path->failed || query->failed) plan->http.url = NULL;
  plan->path = plan->http.url ? plan->http.url + strlen(base) : "";
  if (!plan->http.url) ps_fault_memory(fault);
}

/* Unites the query that the path had with the params, which win. Those of a body stay there: what both say moves to them. */
static void unite_query(ps_buf *query, ps_value *params, bool in_body, ps_fault *fault) {
  bool both = query->length > 0 && ps_first(params);
  if (!both && !in_body) ps_form_encode(query, params);
  if (!both) return;
  ps_value *merged = ps_query_merge(ps_buf_text(query), params), *rest = in_body ? ps_value_new() : NULL;
  for (const ps_value *v = ps_first(rest ? merged : NULL); v; v = ps_next(v)) {
    bool own = ps_map_get(params, v->key, v->key_length) != NULL;
    ps_value_copy(ps_map_setn(own ? params : rest, v->key, v->key_length), v);
  }
  query->length = 0;
  ps_form_encode(query, rest ? rest : merged);
  ps_value_poison(params, ps_value_fault(merged));
  ps_value_poison(params, ps_value_fault(rest));
  if (fault->kind == PS_ERROR_NONE) *fault = *ps_value_fault(params);
  ps_value_free(merged);
  ps_value_free(rest);
}

static const char *encoding_for(const ps_target *target, const char *method, bool v2) {
  if (target->operation) return ps_operation_encoding(target->operation);
  if (strcmp(method, "DELETE") == 0 || is_read(method)) return "query";
  return v2 ? "json" : "form";
}

/* OAuth's params name the platform; it is the client's unless the call has another. */
static ps_value *add_client_id(ps_value *params, const ps_settings *s, const ps_api_type *type, ps_fault *fault) {
  if (fault->kind != PS_ERROR_NONE || !s->client_id || !ps_field_find(type, "client_id")) return params;
  if (!params) ps_value_set_map(params = ps_value_new());
  if (ps_map_get(params, "client_id", 9)) return params;
  ps_value_set_str(ps_map_set(params, "client_id"), s->client_id);
  if (fault->kind == PS_ERROR_NONE) *fault = *ps_value_fault(params);
  return params;
}

void ps_url_build(ps_buf *out, const ps_settings *s, const ps_api_url *url, const ps_value *params, bool express,
                  ps_fault *fault) {
  ps_settings own = *s;
  own.base = ps_url_base(url);
  preparation p = {.fault = fault, .operation = "this address", .strict = s->strict, .path = PS_BUF_INIT};
  ps_value *prepared = prepare_params(&p, params, ps_url_params(url));
  prepared = add_client_id(prepared, s, ps_url_params(url), fault);
  if (!ps_map_get(prepared, "client_id", 9))
    ps_fault_set(fault, PS_ERROR_AUTHENTICATION, "no client_id: give it to the client, or among the params");
  const char *name;
  for (size_t i = 0; prepared && (name = ps_url_default(url, i)); i += 2) {
    if (!ps_map_get(prepared, name, strlen(name)))
      ps_value_set_str(ps_map_set(prepared, name), ps_url_default(url, i + 1));
  }
  ps_buf query = PS_BUF_INIT;
  ps_form_encode(&query, prepared);
  if (query.failed || (prepared && ps_value_is_poisoned(prepared))) ps_fault_memory(fault);
  ps_buf_format(out, "%s%s?%s", base_for(&own, NULL, fault), ps_url_path(url, express), ps_buf_text(&query));
  if (out->failed) ps_fault_memory(fault);
  ps_buf_dispose(&query);
  ps_value_free(prepared);
}

static bool is_binary(const ps_api_operation *op) { return strcmp(ps_operation_returns_kind(op), "binary") == 0; }

static void build(ps_request_plan *plan, const ps_settings *s, const ps_target *target, const ps_value *params,
                  ps_fault *fault) {
  const ps_api_operation *op = target->operation;
  ps_buf path = PS_BUF_INIT, query = PS_BUF_INIT;
  if (target->path) split_path(&path, &query, target->path, fault);
  else ps_target_path(&path, target, fault);
  bool v2 = op ? ps_operation_version(op) == 2 : strncmp(ps_buf_text(&path), "/v2/", 4) == 0;
  const char *encoding = encoding_for(target, plan->http.method, v2), *content_type = NULL;
  preparation p = {fault,      op ? ps_operation_id(op) : target->path, s->strict, strcmp(encoding, "json") == 0, v2,
                   PS_BUF_INIT};
  ps_value *prepared = prepare_params(&p, params, op ? ps_operation_params(op) : NULL);
  if (op && strcmp(ps_operation_base(op), "connect") == 0)
    prepared = add_client_id(prepared, s, ps_operation_params(op), fault);
  bool good = fault->kind == PS_ERROR_NONE, in_query = strcmp(encoding, "query") == 0;
  if (good && s->body && (ps_count(params) > 0 || in_query)) {
    ps_fault_set(fault, PS_ERROR_USAGE, "the option body is for a POST, PUT or PATCH, in place of its params");
  } else if (good) {
    if (in_query || !target->followed) unite_query(&query, prepared, !in_query, fault);
    if (!in_query) content_type = encode_body(plan, encoding, prepared, s, fault);
  }
  ps_value_free(prepared);
  set_url(plan, base_for(s, op, fault), &path, &query, fault);
  set_headers(plan, s, content_type, v2, target->keyless, fault);
  ps_buf_dispose(&path);
  ps_buf_dispose(&query);
}

bool ps_request_build(ps_request_plan *plan, const ps_settings *s, const ps_target *target, const ps_value *params,
                      ps_fault *fault) {
  *plan = (ps_request_plan){.arena = ps_arena_new(2048), .operation = target->operation, .path = ""};
  const char *method = target->method ? target->method : ps_operation_method(target->operation);
  if (!plan->arena || !(plan->http.method = ps_arena_str(plan->arena, method))) {
    ps_fault_memory(fault);
    return false;
  }
  if (!*method || method[strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-")])
    ps_fault_set(fault, PS_ERROR_USAGE, "the method must be in capitals, as GET, not \"%s\"", method);
  const char *kind = target->operation ? ps_operation_kind(target->operation) : "plain";
  plan->transfer = target->download || strcmp(kind, "upload") == 0 || strcmp(kind, "stream") == 0;
  plan->binary = target->download || s->raw || (target->operation && is_binary(target->operation));
  build(plan, s, target, params, fault);
  return fault->kind == PS_ERROR_NONE;
}

void ps_request_dispose(ps_request_plan *plan) {
  ps_multipart_free(plan->multipart);
  ps_arena_free(plan->arena);
  plan->multipart = NULL;
  plan->arena = NULL;
}
