/* Calls: arguments → exchange, and the finished exchange → what the call returns.
 *
 *   core.call(client, "accounts.persons.list", "acct_1", {limit = 3}, {timeout = 5})
 *   └─ scratch: params and options as values, gone when the exchange has copied them
 *   └─ call:    the exchange, until the collector or call:finish() frees it
 *
 * How many ids there are is the table's to say. */
#include "module.h"

typedef struct call {
  machine machine; /* first: a machine's methods work on a call */
  ps_result *result;
  bool binary;
} call;

/* ---- Arguments ---- */

const ps_api_operation *check_operation(lua_State *L, int index) {
  const ps_api_operation *op = ps_operation_find(luaL_checkstring(L, index));
  if (!op) luaL_argerror(L, index, "unknown operation");
  return op;
}

/* Pushes "accounts.persons:list", as a script spells it. */
static const char *push_call_name(lua_State *L, const ps_api_operation *op) {
  return lua_pushfstring(L, "%s:%s", ps_service_path(ps_operation_service(op)), ps_operation_name(op));
}

static int count_ids(const ps_api_operation *op) {
  int count = 0;
  while (count < MOST_IDS && ps_operation_path_param(op, (size_t)count)) count++;
  return count;
}

/* Pushes "accounts.persons:list needs 1 id (account), got 0"; false. */
static bool refuse_count(lua_State *L, const ps_api_operation *op, int given) {
  int wanted = count_ids(op);
  const char *name = push_call_name(L, op);
  if (wanted == 0) {
    lua_pushfstring(L, "%s needs no id, got %d: its first argument is the table of params", name, given);
    return false;
  }
  lua_pushstring(L, "");
  for (int i = 0; i < wanted; i++) {
    lua_pushfstring(L, "%s%s%s", lua_tostring(L, -1), i ? ", " : "", ps_operation_path_param(op, (size_t)i));
  }
  lua_pushfstring(L, "%s needs %d id%s (%s), got %d", name, wanted, wanted == 1 ? "" : "s", lua_tostring(L, -1), given);
  return false;
}

static bool read_ids(lua_State *L, int first, const ps_api_operation *op, arguments *a) {
  int wanted = count_ids(op), given = 0;
  while (lua_type(L, first + given) == LUA_TSTRING) given++;
  int type = lua_type(L, first + given);
  if (given < wanted && type != LUA_TNONE && type != LUA_TNIL && type != LUA_TTABLE) {
    lua_pushfstring(L, "%s: id %d (%s) must be a string, not a %s", push_call_name(L, op), given + 1,
                    ps_operation_path_param(op, (size_t)given), lua_typename(L, type));
    return false;
  }
  if (given != wanted) return refuse_count(L, op, given);
  for (int i = 0; i < wanted; i++) {
    size_t length;
    a->ids[i] = lua_tolstring(L, first + i, &length);
    if (strlen(a->ids[i]) == length) continue;
    lua_pushfstring(L, "%s: id %d (%s) holds a NUL byte", push_call_name(L, op), i + 1,
                    ps_operation_path_param(op, (size_t)i));
    return false;
  }
  a->ids[wanted] = NULL;
  return true;
}

static bool read_own_params(lua_State *L, int index, scratch *s) {
  if (lua_isnil(L, index)) return true;
  s->params = ps_value_new();
  return read_map(L, index, s->params, "params", NULL);
}

static char *read_call_options(void *options, const ps_value *map) { return ps_call_options_read(options, map); }

/* Pushes the projection that the options name, or nil. */
static bool push_wanted_fields(lua_State *L, int index) {
  if (lua_istable(L, index)) {
    lua_pushliteral(L, "fields");
    lua_rawget(L, index);
  } else {
    lua_pushnil(L);
  }
  return push_fields(L, -1);
}

static bool refuse_rest(lua_State *L, int first) {
  for (int last = lua_gettop(L); last >= first; last--) {
    if (lua_isnil(L, last)) continue;
    lua_pushliteral(L, "params and options are the last arguments");
    return false;
  }
  return true;
}

static bool read_tables(lua_State *L, int first, const char *const *skip, arguments *a) {
  if (!refuse_rest(L, first + 2)) return false;
  lua_settop(L, first + 1);
  a->scratch = push_scratch(L);
  if (!read_own_params(L, first, a->scratch)) return false;
  if (!read_options(L, first + 1, a->scratch, skip, read_call_options, &a->options)) return false;
  a->options_index = lua_istable(L, first + 1) ? first + 1 : 0;
  if (!push_wanted_fields(L, first + 1)) return false;
  a->fields_index = lua_gettop(L);
  return true;
}

bool read_params(lua_State *L, int first, const char *what, const char *const *skip, arguments *a) {
  luaL_checkstack(L, 20, "too many arguments");
  a->options = PS_CALL_OPTIONS_INIT;
  a->options_index = 0;
  if (read_tables(L, first, skip, a)) return true;
  lua_pushfstring(L, "%s: %s", what, lua_tostring(L, -1));
  return false;
}

bool read_arguments(lua_State *L, int first, const ps_api_operation *op, const char *const *skip, arguments *a) {
  luaL_checkstack(L, 20, "too many arguments");
  if (!read_ids(L, first, op, a)) return false;
  const char *name = push_call_name(L, op);
  lua_insert(L, first);
  return read_params(L, first + 1 + count_ids(op), name, skip, a);
}

/* ---- Calls ---- */

static call *push_call(lua_State *L) {
  call *c = new_userdata(L, sizeof *c);
  *c = (call){.binary = false};
  luaL_getmetatable(L, CALL_TYPE);
  lua_setmetatable(L, -2);
  return c;
}

int call_gc(lua_State *L) {
  call *c = test_userdata(L, 1, CALL_TYPE);
  if (!c) return 0;
  ps_exchange_free(c->machine.exchange);
  ps_result_free(c->result);
  *c = (call){.binary = false};
  return 0;
}

static bool is_binary(const ps_api_operation *op) { return op && strcmp(ps_operation_returns_kind(op), "binary") == 0; }

static const char *const options_of_lua[] = {"fields", NULL};

/* Returns the call, whose exchange stands, and its fields or nil. */
static int return_call(lua_State *L, call *c, const arguments *a) {
  clear_scratch(a->scratch);
  ps_value *fields = new_fields_value(L, a->fields_index);
  ps_exchange_set_fields(c->machine.exchange, fields);
  ps_value_free(fields);
  lua_pushvalue(L, a->fields_index);
  return 2;
}

/* core.call(client, operation, id..., params, options) → call, fields or nil; or nil and a message */
int core_call(lua_State *L) {
  arguments a;
  ps_client *client = check_client(L, 1);
  const ps_api_operation *op = check_operation(L, 2);
  if (!read_arguments(L, 3, op, options_of_lua, &a)) return misuse_pushed(L);
  call *c = push_call(L);
  c->binary = is_binary(op) || a.options.raw == 1;
  c->machine.exchange = ps_exchange_new(client, ps_operation_id(op), a.ids, a.scratch->params, &a.options);
  return return_call(L, c, &a);
}

static bool is_method(const char *s, size_t length) {
  return length > 0 && strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-") == length;
}

/* core.request(client, method, path, params, options) → as core.call */
int core_request(lua_State *L) {
  arguments a;
  size_t length;
  ps_client *client = check_client(L, 1);
  const char *method = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &length) : "";
  if (!*method || !is_method(method, length)) {
    return misuse(L, "request: the method must be a string in capitals, as \"GET\"");
  }
  const char *path = lua_type(L, 3) == LUA_TSTRING ? lua_tolstring(L, 3, &length) : NULL;
  if (!path || strlen(path) != length) return misuse(L, "request: the path must be a string, as \"/v1/charges\"");
  if (!read_params(L, 4, "request", options_of_lua, &a)) return misuse_pushed(L);
  call *c = push_call(L);
  c->binary = is_binary(ps_operation_route(method, path)) || a.options.raw == 1;
  c->machine.exchange = ps_exchange_new_request(client, method, path, a.scratch->params, &a.options);
  return return_call(L, c, &a);
}

/* core.authorize_url(client, params, express) → the address; nil and an error; or nil and a message */
int core_authorize_url(lua_State *L) {
  ps_client *client = check_client(L, 1);
  lua_settop(L, 3);
  scratch *s = push_scratch(L);
  ps_result **box = push_result_box(L);
  if (!read_own_params(L, 2, s)) return misuse_pushed(L);
  *box = ps_oauth_authorize_url(client, s->params, lua_toboolean(L, 3));
  if (ps_result_ok(*box)) lua_pushstring(L, ps_str(ps_data(*box), NULL));
  else lua_pushnil(L);
  if (ps_result_ok(*box)) lua_pushnil(L);
  else push_error(L, *box);
  clear_scratch(s);
  return 2;
}

/* core.download(client, url, options) → as core.call */
int core_download(lua_State *L) {
  ps_client *client = check_client(L, 1);
  ps_call_options options = PS_CALL_OPTIONS_INIT;
  lua_settop(L, 3);
  scratch *s = push_scratch(L);
  if (!read_options(L, 3, s, NULL, read_call_options, &options)) return misuse(L, "download: %s", lua_tostring(L, -1));
  call *c = push_call(L);
  c->binary = true;
  c->machine.exchange = ps_exchange_new_download(client, luaL_checkstring(L, 2), &options);
  clear_scratch(s);
  return 1;
}

/* core.fetch(client, "event" or "related_object", notification) → call; or nil and a message */
int core_fetch(lua_State *L) {
  ps_client *client = check_client(L, 1);
  bool event = strcmp(luaL_checkstring(L, 2), "event") == 0;
  scratch *s = push_scratch(L);
  s->params = ps_value_new();
  if (!read_map(L, 3, s->params, "notification", NULL)) return misuse_pushed(L);
  call *c = push_call(L);
  c->machine.exchange = (event ? ps_exchange_new_event : ps_exchange_new_related_object)(client, s->params);
  clear_scratch(s);
  return 1;
}

/* call:finish(client, fields) → object, response; or nil, error. Frees the call. */
int call_finish(lua_State *L) {
  call *c = luaL_checkudata(L, 1, CALL_TYPE);
  lua_settop(L, 3);
  if (!c->machine.exchange) return luaL_error(L, "the call is finished");
  c->result = ps_exchange_result(c->machine.exchange);
  ps_exchange_free(c->machine.exchange);
  c->machine = (machine){.exchange = NULL};
  const page_context pages = {.result = c->result, .client = 2, .fields = 3};
  push_result(L, c->result, &pages, c->binary);
  ps_result_free(c->result);
  c->result = NULL;
  return 2;
}
