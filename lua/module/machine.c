/* A machine as its Lua driver sees it (pinstripe/driver.lua):
 *
 *   step() ──▶ "send"  request() … answer(reply), or carry() with the client's own transport
 *          ──▶ "wait"  wait() seconds, or carry()
 *          ──▶ "done"
 *   run()   all of this in C, in slices, for a call that needs no Lua in between
 *
 * The reader of a body reaches the exchange through the machine's userdata, and knows which request it belongs to: used too
 * late, it reads nothing. */
#include "module.h"

#include <stdio.h>

enum { SLICE_MS = 100, READ_SIZE = 32768 };

/* Above this a body is given piece by piece. */
static const int64_t most_in_memory = INT64_C(1) << 20;

machine *check_machine(lua_State *L, int index) {
  machine *m = test_userdata(L, index, CALL_TYPE);
  if (!m) m = test_userdata(L, index, ITER_TYPE);
  if (!m) m = test_userdata(L, index, METER_TYPE);
  if (!m) luaL_argerror(L, index, "a call or an iterator expected");
  if (!m->exchange || m->closed) luaL_error(L, "nothing is under way: the call was closed");
  return m;
}

int end_reading(machine *m, int results) {
  m->reading = false;
  return results;
}

/* machine:run() → whether it is done. Returns now and then, so that a debug hook (Ctrl-C in the interpreter) gets its turn. */
static int machine_run(lua_State *L) {
  machine *m = check_machine(L, 1);
  lua_pushboolean(L, ps_exchange_run(m->exchange, SLICE_MS) == PS_DONE);
  if (ps_exchange_hungry(m->exchange)) ps_exchange_fail(m->exchange, "there is no reader"); /* nor any Lua to ask one */
  return 1;
}

/* machine:step() → "send", "wait" or "done" */
static int machine_step(lua_State *L) {
  static const char *const names[] = {[PS_SEND] = "send", [PS_WAIT] = "wait", [PS_DONE] = "done"};
  machine *m = check_machine(L, 1);
  ps_step step = ps_exchange_step(m->exchange);
  m->sending = step == PS_SEND;
  m->attempt++;
  lua_pushstring(L, names[step]);
  return 1;
}

/* machine:carry() → whether what the last step asked for is done */
static int machine_carry(lua_State *L) {
  machine *m = check_machine(L, 1);
  lua_pushboolean(L, ps_exchange_carry(m->exchange, SLICE_MS));
  return 1;
}

/* machine:wait() → seconds */
static int machine_wait(lua_State *L) {
  lua_pushnumber(L, (lua_Number)ps_exchange_wait(check_machine(L, 1)->exchange) / 1000);
  return 1;
}

/* ---- Transfers ---- */

/* machine:hungry() → the number of the attempt whose body waits to be fed, or nil */
static int machine_hungry(lua_State *L) {
  int attempt = ps_exchange_hungry(check_machine(L, 1)->exchange);
  if (attempt == 0) return 0;
  lua_pushinteger(L, attempt);
  return 1;
}

/* machine:feed(bytes); "" is the end. */
static int machine_feed(lua_State *L) {
  size_t length;
  machine *m = check_machine(L, 1);
  const char *bytes = luaL_checklstring(L, 2, &length);
  ps_exchange_feed(m->exchange, bytes, length);
  return 0;
}

/* machine:fail(why): the bytes of a transfer cannot be had, or be put anywhere. */
static int machine_fail(lua_State *L) {
  machine *m = check_machine(L, 1);
  ps_exchange_fail(m->exchange, luaL_checkstring(L, 2));
  return 0;
}

/* machine:take() → what has arrived of a streamed download; nil: nothing */
static int machine_take(lua_State *L) {
  size_t length;
  const char *bytes = ps_exchange_take(check_machine(L, 1)->exchange, &length);
  if (length == 0) return 0;
  lua_pushlstring(L, bytes, length);
  return 1;
}

/* machine:progress() → bytes done, and of how many, if that is known */
static int machine_progress(lua_State *L) {
  int64_t done, total;
  ps_exchange_progress(check_machine(L, 1)->exchange, &done, &total);
  push_integer(L, done);
  if (total < 0) return 1;
  push_integer(L, total);
  return 2;
}

/* ---- The request ---- */

static void push_headers(lua_State *L, const ps_http_request *request) {
  lua_createtable(L, 0, (int)request->header_count);
  for (size_t i = 0; i < request->header_count; i++) {
    lua_pushstring(L, request->headers[i].value);
    lua_setfield(L, -2, request->headers[i].name);
  }
}

/* request.reader() → the next bytes; nil at the end; nil and why on failure; nil, nil, true: not yet, of a body that is
 * fed. Upvalues: machine, attempt, buffer. */
static int read_piece(lua_State *L) {
  machine *m = lua_touserdata(L, lua_upvalueindex(1));
  if (!m->exchange || !m->sending || m->attempt != (int)lua_tointeger(L, lua_upvalueindex(2))) {
    lua_pushnil(L);
    lua_pushliteral(L, "the request is over");
    return 2;
  }
  char *buffer = lua_touserdata(L, lua_upvalueindex(3));
  const ps_body *body = ps_exchange_request(m->exchange)->body;
  ptrdiff_t n = body->read(body->context, buffer, READ_SIZE);
  if (n > 0) {
    lua_pushlstring(L, buffer, (size_t)n);
    return 1;
  }
  lua_pushnil(L);
  if (n == 0) return 1;
  if (n == PS_BODY_LATER) {
    lua_pushnil(L);
    lua_pushboolean(L, 1);
    return 3;
  }
  lua_pushliteral(L, "the body cannot be read");
  return 2;
}

static void set_reader(lua_State *L, const machine *m, int64_t length) {
  lua_pushvalue(L, 1);
  lua_pushinteger(L, m->attempt);
  new_userdata(L, READ_SIZE);
  lua_pushcclosure(L, read_piece, 3);
  lua_setfield(L, -2, "reader");
  if (length < 0) return;
  push_integer(L, length);
  lua_setfield(L, -2, "length");
}

/* Pushes the whole body; false: it ended early or could not be read. */
static bool push_body(lua_State *L, const ps_body *body) {
  size_t length = (size_t)body->length, got = 0;
  char *bytes = new_userdata(L, length + 1);
  while (got < length) {
    ptrdiff_t n = body->read(body->context, bytes + got, length - got);
    if (n <= 0) return false;
    got += (size_t)n;
  }
  lua_pushlstring(L, bytes, length);
  lua_remove(L, -2);
  return true;
}

static bool set_body(lua_State *L, const machine *m, const ps_body *body, bool fed) {
  if (!body) return true;
  if (fed || body->length < 0 || body->length > most_in_memory) {
    set_reader(L, m, body->length);
    return true;
  }
  if (!push_body(L, body)) return false;
  lua_setfield(L, -2, "body");
  push_integer(L, body->length);
  lua_setfield(L, -2, "length");
  return true;
}

static void set_seconds(lua_State *L, const char *name, double seconds) {
  lua_pushnumber(L, seconds);
  lua_setfield(L, -2, name);
}

/* machine:request(whether its body is fed) → {method, url, headers, body or reader, length, timeout, connect_timeout}; nil
 * if the body cannot be read, which is then the answer. */
static int machine_request(lua_State *L) {
  machine *m = check_machine(L, 1);
  bool fed = lua_toboolean(L, 2);
  if (!m->sending) return luaL_error(L, "no request is to be sent");
  m->reading = true;
  const ps_http_request *request = ps_exchange_request(m->exchange);
  lua_createtable(L, 0, 8);
  lua_pushstring(L, request->method);
  lua_setfield(L, -2, "method");
  lua_pushstring(L, request->url);
  lua_setfield(L, -2, "url");
  push_headers(L, request);
  lua_setfield(L, -2, "headers");
  double timeout = request->timeout;
  if (request->deadline >= 0 && request->deadline < timeout) timeout = request->deadline;
  set_seconds(L, "timeout", timeout);
  set_seconds(L, "connect_timeout", request->connect_timeout);
  if (set_body(L, m, request->body, fed)) return end_reading(m, 1);
  ps_http_response_fail(ps_exchange_response(m->exchange), PS_ERROR_USAGE, PS_OUTCOME_NOT_SENT,
                        "the body of the request could not be read to its end");
  lua_pushnil(L);
  return end_reading(m, 1);
}

/* ---- The answer ---- */

static bool is_text(lua_State *L, int index) {
  return lua_type(L, index) == LUA_TSTRING || lua_type(L, index) == LUA_TNUMBER;
}

/* A number is written into a copy: the table under lua_next must not change. */
static void add_header(lua_State *L, ps_http_response *response, int name, int value) {
  lua_pushvalue(L, value);
  ps_http_response_header(response, lua_tostring(L, name), lua_tostring(L, -1));
  lua_pop(L, 1);
}

/* The value of a header is on the top of the stack, its name below: text, or a list of texts. */
static bool answer_header(lua_State *L, ps_http_response *response) {
  int value = lua_gettop(L), name = value - 1;
  if (lua_type(L, name) != LUA_TSTRING) return false;
  if (is_text(L, value)) {
    add_header(L, response, name, value);
    return true;
  }
  if (!lua_istable(L, value)) return false;
  size_t count = raw_length(L, value);
  for (size_t i = 1; i <= count; i++) {
    lua_rawgeti(L, value, (int)i);
    if (!is_text(L, -1)) return false;
    add_header(L, response, name, lua_gettop(L));
    lua_pop(L, 1);
  }
  return true;
}

static bool answer_headers(lua_State *L, int index, ps_http_response *response) {
  if (lua_isnil(L, index)) return true;
  if (!lua_istable(L, index)) return false;
  lua_pushnil(L);
  while (lua_next(L, index)) {
    if (!answer_header(L, response)) return false;
    lua_pop(L, 1);
  }
  return true;
}

static int refuse_answer(lua_State *L, const char *what) {
  return misuse(L,
                "the transport's send must return {status = 200, headers = {name = value}, body = \"...\"}, or nil, a "
                "reason, and \"not_sent\" if nothing was sent: %s is wrong",
                what);
}

static int answer_reply(lua_State *L, ps_http_response *response) {
  lua_getfield(L, 2, "status");
  lua_getfield(L, 2, "headers");
  lua_getfield(L, 2, "body");
  lua_Number status = lua_type(L, 5) == LUA_TNUMBER ? lua_tonumber(L, 5) : 0;
  if (!(status >= 200 && status <= 599) || (lua_Number)(int)status != status) return refuse_answer(L, "status");
  if (!lua_isnil(L, 7) && lua_type(L, 7) != LUA_TSTRING) return refuse_answer(L, "body");
  if (!answer_headers(L, 6, response)) return refuse_answer(L, "headers");
  size_t length = 0;
  const char *body = lua_tolstring(L, 7, &length);
  ps_http_response_status(response, (int)status);
  if (body) ps_http_response_write(response, body, length);
  return 0;
}

static int answer_failure(lua_State *L, ps_http_response *response) {
  const char *reason = is_text(L, 3) ? lua_tostring(L, 3) : "the transport gave no reason";
  bool not_sent = lua_type(L, 4) == LUA_TSTRING && strcmp(lua_tostring(L, 4), "not_sent") == 0;
  if (!lua_isnil(L, 4) && !not_sent) return refuse_answer(L, "the third value");
  ps_http_response_fail(response, strcmp(reason, "timeout") == 0 ? PS_ERROR_TIMEOUT : PS_ERROR_CONNECTION,
                        not_sent ? PS_OUTCOME_NOT_SENT : PS_OUTCOME_UNKNOWN, reason);
  return 0;
}

/* machine:answer(reply) or machine:answer(nil, reason, "not_sent"): what the transport's send returned. Nothing, or nil and
 * a message. */
static int machine_answer(lua_State *L) {
  machine *m = check_machine(L, 1);
  lua_settop(L, 4);
  if (!m->sending) return luaL_error(L, "no request was sent");
  m->reading = true;
  ps_http_response *response = ps_exchange_response(m->exchange);
  if (lua_istable(L, 2)) return end_reading(m, answer_reply(L, response));
  if (lua_isnil(L, 2)) return end_reading(m, answer_failure(L, response));
  m->reading = false;
  return refuse_answer(L, "the first value");
}

/* ---- Events ---- */

static void set_word(lua_State *L, const char *name, const char *value) {
  if (!*value) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

/* The event as one line, which is also its tostring. */
static void set_line(lua_State *L, const ps_call_event *e) {
  scratch *s = push_scratch(L);
  s->text = ps_log_line(e);
  lua_pushstring(L, s->text ? s->text : "");
  lua_setfield(L, -3, "line");
  clear_scratch(s);
  lua_pop(L, 1);
}

/* machine:event() → what has happened since the last step, one at a time; nil: nothing more */
static int machine_event(lua_State *L) {
  static const char *const kinds[] = {"request", "response", "retry", "notice"};
  machine *m = check_machine(L, 1);
  const ps_call_event *e = ps_exchange_event(m->exchange);
  if (!e) return 0;
  m->reading = true;
  lua_createtable(L, 0, 11);
  set_word(L, "kind", kinds[e->kind]);
  set_word(L, "level", ps_log_level_name(e->level));
  set_word(L, "operation", e->operation);
  set_word(L, "method", e->method);
  set_word(L, "path", e->path);
  set_word(L, "request_id", e->request_id);
  set_word(L, "message", e->message);
  set_line(L, e);
  push_integer(L, e->attempt);
  lua_setfield(L, -2, "attempt");
  set_seconds(L, "duration", e->duration);
  if (e->status) {
    push_integer(L, e->status);
    lua_setfield(L, -2, "status");
  }
  luaL_getmetatable(L, EVENT_TYPE);
  lua_setmetatable(L, -2);
  return end_reading(m, 1);
}

const luaL_Reg machine_methods[] = {
  {"run", machine_run},
  {"step", machine_step},
  {"carry", machine_carry},
  {"wait", machine_wait},
  {"request", machine_request},
  {"answer", machine_answer},
  {"event", machine_event},
  {"hungry", machine_hungry},
  {"feed", machine_feed},
  {"fail", machine_fail},
  {"take", machine_take},
  {"progress", machine_progress},
  {NULL, NULL},
};
