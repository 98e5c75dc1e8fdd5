#include "host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void host_set_paths(void) {
  char value[4096];
  snprintf(value, sizeof value, "%s/lua/?.lua;%s/lua/?/init.lua", PS_SOURCE_DIR, PS_SOURCE_DIR);
  setenv("LUA_PATH", value, 1);
  snprintf(value, sizeof value, "%s/lua/%s/?.so", PS_BUILD_DIR, LUA_NAME);
  setenv("LUA_CPATH", value, 1);
  unsetenv("LUA_PATH_5_3");
  unsetenv("LUA_PATH_5_4");
  unsetenv("LUA_CPATH_5_3");
  unsetenv("LUA_CPATH_5_4");
  unsetenv("LUA_INIT");
}

static const char *run_loaded(lua_State *L, int status) {
  if (status == 0) status = lua_pcall(L, 0, 0, 0);
  if (status == 0) return NULL;
  if (!lua_isstring(L, -1)) luaL_callmeta(L, -1, "__tostring");
  return lua_isstring(L, -1) ? lua_tostring(L, -1) : "an error that is no string";
}

const char *host_run(lua_State *L, const char *script) {
  return run_loaded(L, luaL_loadbuffer(L, script, strlen(script), "=script"));
}

const char *host_run_file(lua_State *L, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/tests/lua/%s", PS_SOURCE_DIR, name);
  return run_loaded(L, luaL_loadfile(L, path));
}

static const char *list_after(const char *url) {
  const char *after = strstr(url, "starting_after=");
  if (!after) {
    return "{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":true,"
           "\"data\":[{\"id\":\"ch_5\",\"amount\":5,\"customer\":{\"email\":\"a@b.c\"}},{\"id\":\"ch_4\",\"amount\":4}]"
           "}";
  }
  if (strstr(after, "ch_5")) {
    return "{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":true,\"data\":[{\"id\":\"ch_4\",\"amount\":4}]}";
  }
  if (strstr(after, "ch_4")) {
    return "{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":true,"
           "\"data\":[{\"id\":\"ch_3\",\"amount\":3},{\"id\":\"ch_2\",\"amount\":2.5}]}";
  }
  return "{\"object\":\"list\",\"url\":\"/v1/charges\",\"has_more\":false,\"data\":[{\"id\":\"ch_1\",\"amount\":1}]}";
}

static const char *reply_to(const char *url) {
  if (strstr(url, "/v1/charges")) return list_after(url);
  if (strstr(url, "/v1/invoices")) {
    return "{\"id\":\"in_1\",\"big\":12345678901234567890,\"none\":null,\"lines\":{\"object\":\"list\",\"has_more\":"
           "false,"
           "\"url\":\"/v1/invoices/in_1/lines\",\"data\":[{\"id\":\"il_1\",\"tags\":[\"a\",\"b\"]}]}}";
  }
  if (strstr(url, "/v1/bad")) {
    return "{\"error\":{\"type\":\"card_error\",\"code\":\"card_declined\",\"message\":\"no\",\"payment_intent\":{"
           "\"id\":\"pi_1\"}}}";
  }
  return "{\"id\":\"cus_1\",\"object\":\"customer\",\"email\":\"a@b.c\",\"metadata\":{}}";
}

void host_send(void *context, const ps_http_request *request, ps_http_response *response) {
  char piece[64];
  const char *body = reply_to(request->url);
  ++*(int *)context;
  if (request->body) {
    while (request->body->read(request->body->context, piece, sizeof piece) > 0) {}
  }
  ps_http_response_status(response, strstr(request->url, "/v1/bad") ? 402 : 200);
  ps_http_response_header(response, "Request-Id", "req_1");
  ps_http_response_write(response, body, strlen(body));
}
