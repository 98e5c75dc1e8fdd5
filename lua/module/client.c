/* Clients: options are read by name, so that options.def is the one list of them. What Lua adds of its own (hooks, a
 * transport) is kept by the Lua side and never reaches the core. */
#include "module.h"

ps_client *check_client(lua_State *L, int index) {
  ps_client **box = test_userdata(L, index, CLIENT_TYPE);
  if (!box || !*box) luaL_argerror(L, index, "a client expected");
  return *box;
}

static ps_client **push_box(lua_State *L) {
  ps_client **box = new_userdata(L, sizeof *box);
  *box = NULL;
  luaL_getmetatable(L, CLIENT_TYPE);
  lua_setmetatable(L, -2);
  return box;
}

void push_client(lua_State *L, ps_client *client) {
  ps_client **box = push_box(L);
  *box = ps_client_hold(client);
}

/* core.scoped(client, context) → the client in that context, without an account */
int core_scoped(lua_State *L) {
  ps_client *client = check_client(L, 1);
  const char *context = luaL_checkstring(L, 2);
  ps_client **box = push_box(L);
  *box = ps_client_scoped(client, context);
  return 1;
}

int client_gc(lua_State *L) {
  ps_client **box = test_userdata(L, 1, CLIENT_TYPE);
  if (!box) return 0;
  ps_client_free(*box);
  *box = NULL;
  return 0;
}

static char *read_client_options(void *options, const ps_value *map) { return ps_client_options_read(options, map); }

/* Stands for a transport in Lua, whose driver never asks the core to send: so the core has no use for libcurl. */
static void refuse_send(void *context, const ps_http_request *request, ps_http_response *response) {
  (void)context, (void)request;
  ps_http_response_fail(response, PS_ERROR_CONNECTION, PS_OUTCOME_NOT_SENT,
                        "this client sends through a transport in Lua");
}

static const ps_transport lua_transport = {.send = refuse_send};

/* core.client(key or nil, options or nil, "lua 5.4", whether there is a transport) → client, or nil and a message */
int core_client(lua_State *L) {
  static const char *const ours[] = {"log", "on_request", "on_response", "transport", NULL};
  size_t length = 0;
  const char *key = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &length) : NULL;
  if (!key && !lua_isnil(L, 1)) return misuse(L, "the API key must be a string, not a %s", luaL_typename(L, 1));
  if (key && strlen(key) != length) return misuse(L, "the API key holds a NUL byte");
  scratch *s = push_scratch(L);
  ps_client_options options = PS_CLIENT_OPTIONS_INIT;
  if (!read_options(L, 2, s, ours, read_client_options, &options)) return misuse_pushed(L);
  options.lang = luaL_checkstring(L, 3);
  options.transport = lua_toboolean(L, 4) ? &lua_transport : NULL;
  ps_client **box = push_box(L);
  *box = ps_client_new(key, &options);
  clear_scratch(s);
  if (*ps_client_error(*box)) return misuse(L, "%s", ps_client_error(*box));
  return 1;
}
