/* A result reads the same whatever it is: missing parts are empty. The one without memory is static and is never freed. */
#include "result.h"

#include <stdlib.h>
#include <string.h>

static ps_result no_memory = {
  .fault = {.kind = PS_ERROR_MEMORY, .outcome = PS_OUTCOME_NOT_SENT, .message = "no memory"},
};

ps_result *ps_result_no_memory(void) { return &no_memory; }

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

bool ps_origin_copy(ps_origin *to, const ps_origin *from, ps_arena *arena, ps_value *headers, ps_value *params) {
  ps_fault fault = {.kind = PS_ERROR_NONE};
  *to = (ps_origin){.operation = from->operation, .headers = headers, .params = params};
  to->options = PS_CALL_OPTIONS_INIT;
  to->method = ps_fault_copy(&fault, arena, from->method);
  to->path = ps_fault_copy(&fault, arena, from->path);
  ps_call_options_keep(&to->options, &from->options, arena, &fault);
  to->options.headers = headers;
  return fault.kind == PS_ERROR_NONE;
}

ps_result *ps_result_stub(const ps_result *r, const ps_value *data) {
  ps_result *stub = ps_result_from_fault(&r->fault);
  if (stub == &no_memory) return stub;
  ps_fault fault = {.kind = PS_ERROR_NONE};
  ps_value *headers = ps_value_clone(r->origin.headers, &fault), *params = ps_value_clone(r->origin.params, &fault);
  bool whole = ps_origin_copy(&stub->origin, &r->origin, stub->arena, headers, params);
  stub->status = r->status;
  stub->data = stub->own_data = ps_value_clone(data, &fault);
  if (whole && fault.kind == PS_ERROR_NONE) return stub;
  ps_result_free(stub);
  return &no_memory;
}

/* Reading takes NULL for a result with nothing in it, which is no success. */
static const ps_result *or_nothing(const ps_result *r) {
  static const ps_result nothing = {.fault = {.outcome = PS_OUTCOME_NOT_SENT}};
  return r ? r : &nothing;
}

bool ps_result_ok(const ps_result *r) { return r && r->fault.kind == PS_ERROR_NONE; }

const ps_value *ps_data(const ps_result *r) { return or_nothing(r)->data ? r->data : &ps_null_value; }

int ps_result_status(const ps_result *r) { return or_nothing(r)->status; }

const char *ps_result_body(const ps_result *r, size_t *length) {
  const ps_buf *body = &or_nothing(r)->body;
  if (length) *length = body->length;
  return body->data ? body->data : "";
}

void ps_result_drop_body(ps_result *r) {
  if (r) ps_buf_dispose(&r->body);
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

int ps_result_attempts(const ps_result *r) { return or_nothing(r)->attempts; }

ps_error ps_error_kind(const ps_result *r) { return or_nothing(r)->fault.kind; }

ps_outcome ps_error_outcome(const ps_result *r) {
  return ps_result_ok(r) ? PS_OUTCOME_OK : or_nothing(r)->fault.outcome;
}

const char *ps_error_message(const ps_result *r) { return or_nothing(r)->fault.message; }

const ps_value *ps_error_data(const ps_result *r) { return or_nothing(r)->error ? r->error : &ps_null_value; }

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
