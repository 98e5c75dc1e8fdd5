/* Webhooks: signatures, and the events that they vouch for. Pure: the bytes, the header and the time are passed in.
 *
 *   Stripe-Signature: t=1700000000,v1=5257a8...,v1=...      any v1 of any secret may match
 *   v1 = hex(HMAC-SHA256(secret, t "." body))               over the bytes exactly as they came
 *
 * Invariants: nothing is parsed before its signature holds; neither a secret nor the expected signature leaves this file;
 * the two are compared by libcrypto, in a time that does not depend on where they differ. */
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "json.h"
#include "result.h"

enum { HEX = 64, DEFAULT_TOLERANCE = 300 };

/* ---- Results ---- */

typedef struct verdict {
  ps_fault fault;
  const char *code; /* of the fault, for programs; NULL: none */
} verdict;

static void refuse(verdict *v, ps_error kind, const char *code, const char *message) {
  if (v->fault.kind == PS_ERROR_NONE) v->code = code;
  ps_fault_set(&v->fault, kind, "%s", message);
}

static ps_result *make_result(const verdict *v) {
  ps_result *r = ps_result_from_fault(&v->fault);
  if (!v->code || r == ps_result_no_memory()) return r;
  r->own_data = ps_value_new();
  ps_value_set_str(ps_map_set(r->own_data, "code"), v->code);
  r->error = r->own_data;
  return r;
}

/* ---- Signatures ---- */

/* Appends the hexadecimal signature of `text`; false: libcrypto failed. */
static bool sign(ps_buf *out, const ps_buf *text, const char *secret) {
  unsigned char mac[EVP_MAX_MD_SIZE];
  size_t length = strlen(secret);
  if (text->failed || length > INT_MAX) return false;
  if (!HMAC(EVP_sha256(), secret, (int)length, (const unsigned char *)text->data, text->length, mac, NULL))
    return false;
  for (int i = 0; i < HEX / 2; i++) ps_buf_format(out, "%02x", mac[i]);
  return !out->failed;
}

char *ps_webhook_sign(const char *body, size_t length, const char *secret, int64_t timestamp) {
  ps_buf text = PS_BUF_INIT, header = PS_BUF_INIT;
  if (!body || !secret) return NULL;
  ps_buf_format(&text, "%lld.", (long long)timestamp);
  ps_buf_add(&text, body, length);
  ps_buf_format(&header, "t=%lld,v1=", (long long)timestamp);
  if (!sign(&header, &text, secret)) header.failed = true;
  ps_buf_dispose(&text);
  return ps_buf_take(&header, NULL);
}

/* The next item of a header, "v1=5257a8", without the blanks around it; NULL after the last. */
static const char *next_item(const char **rest, size_t *length) {
  const char *item = *rest + strspn(*rest, " \t,");
  *length = strcspn(item, ",");
  *rest = item + *length;
  while (*length > 0 && (item[*length - 1] == ' ' || item[*length - 1] == '\t')) --*length;
  return *length > 0 ? item : NULL;
}

/* Whether the header has a v1 that is `expected`, or any at all for NULL. */
static bool has_v1(const char *header, const char *expected) {
  size_t length;
  for (const char *item; (item = next_item(&header, &length));) {
    if (length < 3 || memcmp(item, "v1=", 3) != 0) continue;
    if (!expected || (length == 3 + HEX && CRYPTO_memcmp(item + 3, expected, HEX) == 0)) return true;
  }
  return false;
}

/* Reads the header's first t, and begins the signed text with it as it stands there. */
static bool read_time(const char *header, int64_t *t, ps_buf *text) {
  size_t length;
  for (const char *item; (item = next_item(&header, &length));) {
    if (length < 2 || memcmp(item, "t=", 2) != 0) continue;
    ps_buf_add(text, item + 2, length - 2);
    ps_buf_char(text, '.');
    return ps_number_int(item + 2, length - 2, t) && *t >= 0;
  }
  return false;
}

static void match(verdict *v, const char *header, const char *const *secrets, const ps_buf *text) {
  bool blank = false;
  for (; *secrets; secrets++) {
    ps_buf expected = PS_BUF_INIT;
    bool made = sign(&expected, text, *secrets), found = made && has_v1(header, expected.data);
    ps_buf_dispose(&expected);
    if (found) return;
    if (!made) refuse(v, PS_ERROR_MEMORY, NULL, "libcrypto failed: no memory, or it could not be loaded");
    if ((*secrets)[strcspn(*secrets, " \t\r\n")]) blank = true;
  }
  if (blank) {
    refuse(v, PS_ERROR_SIGNATURE, "blank_secret", "no signature matches, and the webhook secret holds a blank");
  }
  refuse(v, PS_ERROR_SIGNATURE, "no_match",
         "no signature matches: is this the endpoint's secret, and the body byte for byte as it came?");
}

static void check_age(verdict *v, int64_t t, int64_t tolerance, int64_t now) {
  if (tolerance < 0) tolerance = DEFAULT_TOLERANCE;
  if (now < 0) now = (int64_t)time(NULL);
  int64_t age = now - t; /* neither is negative */
  if (tolerance == 0 || v->fault.kind != PS_ERROR_NONE || (age <= tolerance && -age <= tolerance)) return;
  v->code = "stale";
  ps_fault_set(&v->fault, PS_ERROR_SIGNATURE, "the signature's time lies %lld s %s; %lld s are tolerated",
               (long long)(age < 0 ? -age : age), age < 0 ? "ahead" : "back", (long long)tolerance);
}

static void check_body(verdict *v, const char *body) {
  if (body) return;
  refuse(v, PS_ERROR_SIGNATURE, "not_bytes",
         "the body must be the bytes as they came, not what a framework has parsed from them");
}

static void check_arguments(verdict *v, const char *body, const char *header, const char *const *secrets) {
  check_body(v, body);
  bool none = !secrets || !*secrets;
  for (; !none && *secrets; secrets++) none = **secrets == '\0';
  if (none) refuse(v, PS_ERROR_SIGNATURE, "no_secret", "no webhook secret was given, or an empty one");
  if (!header || !*header) {
    refuse(v, PS_ERROR_SIGNATURE, "no_header", "the request has no Stripe-Signature header");
  } else if (!has_v1(header, NULL)) {
    refuse(v, PS_ERROR_SIGNATURE, "no_v1", "the Stripe-Signature header has no v1 signature");
  }
}

static void verify(verdict *v, const char *body, size_t length, const char *header, const char *const *secrets,
                   int64_t tolerance, int64_t now) {
  int64_t t;
  ps_buf text = PS_BUF_INIT;
  check_arguments(v, body, header, secrets);
  if (v->fault.kind != PS_ERROR_NONE) return;
  if (!read_time(header, &t, &text)) {
    refuse(v, PS_ERROR_SIGNATURE, "no_timestamp", "the Stripe-Signature header has no timestamp t");
  } else {
    ps_buf_add(&text, body, length);
    match(v, header, secrets, &text);
    check_age(v, t, tolerance, now);
  }
  ps_buf_dispose(&text);
}

ps_result *ps_webhook_verify(const char *body, size_t length, const char *header, const char *const *secrets,
                             int64_t tolerance, int64_t now) {
  verdict v = {.code = NULL};
  verify(&v, body, length, header, secrets, tolerance, now);
  return make_result(&v);
}

/* ---- Events ---- */

/* What lies in an envelope of AWS EventBridge (`detail`) or Azure Event Grid (`data`, beside `specversion`). */
static const ps_value *open_envelope(const ps_value *v) {
  const ps_value *object = ps_map_get(v, "object", 6), *detail = ps_map_get(v, "detail", 6);
  if (ps_value_is(object, "event") || ps_value_is(object, "v2.core.event")) return v;
  if (ps_type(detail, NULL) == PS_MAP) return detail;
  return ps_map_get(v, "specversion", 11) ? ps_get(ps_map_get(v, "data", 4), NULL) : v;
}

static void check_kind(verdict *v, const ps_value *event, bool thin) {
  const ps_value *object = ps_map_get(event, "object", 6);
  bool is_thin = ps_value_is(object, "v2.core.event");
  if (is_thin && !thin) {
    refuse(v, PS_ERROR_USAGE, "thin_event", "this is a thin event (v2.core.event): parse it as an event notification");
  } else if (!is_thin && thin && ps_value_is(object, "event")) {
    refuse(v, PS_ERROR_USAGE, "snapshot_event", "this is a snapshot event: parse it as an event, not a notification");
  } else if (!is_thin && !ps_value_is(object, "event")) {
    refuse(v, PS_ERROR_USAGE, "not_an_event", "the body is JSON, but not an event of Stripe");
  }
}

static void read_event(ps_result *r, verdict *v, const char *body, size_t length, bool thin, bool enveloped) {
  ps_fault fault = {.kind = PS_ERROR_NONE};
  ps_buf_add(&r->body, body, length);
  ps_buf_text(&r->body);
  const ps_value *event = NULL;
  if (r->body.failed) ps_fault_memory(&fault);
  else event = ps_json_parse(r->arena, r->body.data, r->body.length, &fault);
  if (fault.kind == PS_ERROR_PROTOCOL) v->code = "not_json";
  if (fault.kind == PS_ERROR_PROTOCOL) ps_fault_set(&v->fault, fault.kind, "the body is not JSON: %s", fault.message);
  else if (!event) v->fault = fault;
  if (enveloped) event = open_envelope(event);
  if (v->fault.kind == PS_ERROR_NONE) check_kind(v, event, thin);
  r->data = (ps_value *)(uintptr_t)event;
  r->origin.options = PS_CALL_OPTIONS_INIT;
  r->origin.operation = ps_operation_find(thin ? "v2.core.events.retrieve" : "events.retrieve");
}

static ps_result *parse(verdict *v, const char *body, size_t length, bool thin, bool enveloped) {
  check_body(v, body);
  if (v->fault.kind != PS_ERROR_NONE) return make_result(v);
  ps_result *r = make_result(v);
  if (r == ps_result_no_memory()) return r;
  read_event(r, v, body, length, thin, enveloped);
  if (v->fault.kind == PS_ERROR_NONE) return r;
  ps_result_free(r);
  return make_result(v);
}

static ps_result *parse_signed(const char *body, size_t length, const char *header, const char *const *secrets,
                               int64_t tolerance, int64_t now, bool thin) {
  verdict v = {.code = NULL};
  verify(&v, body, length, header, secrets, tolerance, now);
  return parse(&v, body, length, thin, false);
}

ps_result *ps_event_parse(const char *body, size_t length, const char *header, const char *const *secrets,
                          int64_t tolerance, int64_t now) {
  return parse_signed(body, length, header, secrets, tolerance, now, false);
}

ps_result *ps_notification_parse(const char *body, size_t length, const char *header, const char *const *secrets,
                                 int64_t tolerance, int64_t now) {
  return parse_signed(body, length, header, secrets, tolerance, now, true);
}

ps_result *ps_event_parse_without_verification(const char *body, size_t length) {
  return parse(&(verdict){.code = NULL}, body, length, false, true);
}

ps_result *ps_notification_parse_without_verification(const char *body, size_t length) {
  return parse(&(verdict){.code = NULL}, body, length, true, true);
}
