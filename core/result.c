/* A result reads the same whatever it is: missing parts are empty. The one without memory is static and is never freed. */
#include "result.h"

#include <stdlib.h>
#include <string.h>

static ps_result no_memory = {
  .fault = {.kind = PS_ERROR_MEMORY, .outcome = PS_OUTCOME_NOT_SENT, .message = "no memory"},
};

ps_result *ps_result_no_memory(void) {
  return &no_memory;
}

ps_result *ps_result_from_fault(const ps_fault *fault) {
  ps_arena *arena = ps_arena_new(sizeof(ps_result) + 256);
  ps_result *r = arena ? ps_arena_alloc(arena, sizeof *r) : NULL;
  if (!r) {
    ps_arena_free(arena);
    return &no_memory;
  }
  *r = (ps_result){.arena = arena, .fault = *fault};
  return r;
}

void ps_result_recycle(ps_result *r, ps_arena **arena, ps_buf *body) {
  ps_client *client = r->client;
  void (*release)(ps_client *) = r->release;
  ps_value_free(r->origin.headers);
  ps_value_free(r->origin.params);
  ps_value_free(r->own_data);
  *body = r->body;
  body->length = 0;
  *arena = ps_arena_reset(r->arena);
  if (client) release(client);
}

void ps_result_free(ps_result *r) {
  ps_arena *arena;
  ps_buf body;
  if (!r || r == &no_memory) return;
  ps_result_recycle(r, &arena, &body);
  ps_buf_dispose(&body);
  ps_arena_free(arena);
}

static const char *copy_string(ps_arena *arena, const char *s, bool *failed) {
  const char *copy = s ? ps_arena_str(arena, s) : NULL;
  if (s && !copy) *failed = true;
  return copy;
}

bool ps_origin_copy(ps_origin *to, const ps_origin *from, ps_arena *arena) {
  bool failed = false;
  *to = (ps_origin){
    .operation = from->operation,
    .method = copy_string(arena, from->method, &failed),
    .path = copy_string(arena, from->path, &failed),
    .api_key = copy_string(arena, from->api_key, &failed),
    .stripe_account = copy_string(arena, from->stripe_account, &failed),
    .stripe_context = copy_string(arena, from->stripe_context, &failed),
    .stripe_version = copy_string(arena, from->stripe_version, &failed),
    .base = copy_string(arena, from->base, &failed),
  };
  return !failed;
}

static ps_value *copy_value(const ps_value *v, bool *failed) {
  if (!v) return NULL;
  ps_value *copy = ps_value_new();
  ps_value_copy(copy, v);
  if (ps_value_is_poisoned(copy)) *failed = true;
  return copy;
}

ps_result *ps_result_stub(const ps_result *r, const ps_value *data) {
  ps_result *stub = ps_result_from_fault(&r->fault);
  if (stub == &no_memory) return stub;
  bool failed = !ps_origin_copy(&stub->origin, &r->origin, stub->arena);
  stub->status = r->status;
  stub->origin.headers = copy_value(r->origin.headers, &failed);
  stub->origin.params = copy_value(r->origin.params, &failed);
  stub->data = stub->own_data = copy_value(data, &failed);
  if (!failed) return stub;
  ps_result_free(stub);
  return &no_memory;
}

/* Reading takes NULL for a result with nothing in it, which is no success. */
static const ps_result *or_nothing(const ps_result *r) {
  static const ps_result nothing = {.fault = {.outcome = PS_OUTCOME_NOT_SENT}};
  return r ? r : &nothing;
}

bool ps_result_ok(const ps_result *r) {
  return r && r->fault.kind == PS_ERROR_NONE;
}

const ps_value *ps_data(const ps_result *r) {
  return or_nothing(r)->data ? r->data : &ps_null_value;
}

int ps_result_status(const ps_result *r) {
  return or_nothing(r)->status;
}

const char *ps_result_body(const ps_result *r, size_t *length) {
  const ps_buf *body = &or_nothing(r)->body;
  if (length) *length = body->length;
  return body->data ? body->data : "";
}

const char *ps_result_header(const ps_result *r, const char *name) {
  for (size_t i = 0; i < or_nothing(r)->header_count; i++) {
    if (ps_header_is(r->headers[i].name, name)) return r->headers[i].value;
  }
  return NULL;
}

bool ps_result_header_at(const ps_result *r, size_t index, const char **name, const char **value) {
  if (index >= or_nothing(r)->header_count) return false;
  *name = r->headers[index].name;
  *value = r->headers[index].value;
  return true;
}

const char *ps_result_request_id(const ps_result *r) {
  const char *id = ps_result_header(r, "Request-Id");
  return id ? id : "";
}

const char *ps_result_idempotency_key(const ps_result *r) {
  return or_nothing(r)->idempotency_key ? r->idempotency_key : "";
}

int ps_result_attempts(const ps_result *r) {
  return or_nothing(r)->attempts;
}

ps_error ps_error_kind(const ps_result *r) {
  return or_nothing(r)->fault.kind;
}

ps_outcome ps_error_outcome(const ps_result *r) {
  return ps_result_ok(r) ? PS_OUTCOME_OK : or_nothing(r)->fault.outcome;
}

const char *ps_error_message(const ps_result *r) {
  return or_nothing(r)->fault.message;
}

const ps_value *ps_error_data(const ps_result *r) {
  return or_nothing(r)->error ? r->error : &ps_null_value;
}

const char *ps_error_field(const ps_result *r, const char *name) {
  return ps_str(ps_map_get(ps_error_data(r), name, strlen(name)), NULL);
}

/* OAuth's code is the word in `error`. */
const char *ps_error_code(const ps_result *r) {
  return ps_error_field(r, ps_error_kind(r) == PS_ERROR_OAUTH ? "error" : "code");
}

const ps_api_type *ps_result_type(const ps_result *r) {
  const ps_api_operation *op = r ? r->origin.operation : NULL;
  return op && ps_result_ok(r) ? ps_type_resolve(ps_operation_returns(op), ps_data(r)) : NULL;
}
