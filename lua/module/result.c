/* A result → what a call returns: object and response, or nil and an error. Both are plain tables of their own memory;
 * the result is freed as soon as they stand. */
#include "module.h"

/* ---- Headers: lower-case names; a look-up may use any case ---- */

/* ASCII's letters alone, whatever the locale. */
static void push_lower(lua_State *L, const char *s, size_t length) {
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  for (size_t i = 0; i < length; i++) {
    bool upper = s[i] >= 'A' && s[i] <= 'Z';
    luaL_addchar(&b, (char)(upper ? s[i] - 'A' + 'a' : s[i]));
  }
  luaL_pushresult(&b);
}

/* Handles: response.headers["Request-Id"] */
int headers_index(lua_State *L) {
  size_t length;
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  const char *name = lua_tolstring(L, 2, &length);
  push_lower(L, name, length);
  lua_rawget(L, 1);
  return 1;
}

/* A header that came twice is one, its values joined by commas. */
static void push_headers(lua_State *L, const ps_result *r) {
  const char *name, *value;
  lua_newtable(L);
  for (size_t i = 0; ps_result_header_at(r, i, &name, &value); i++) {
    push_lower(L, name, strlen(name));
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_isnil(L, -1)) lua_pushstring(L, value);
    else lua_pushfstring(L, "%s, %s", lua_tostring(L, -1), value);
    lua_remove(L, -2);
    lua_rawset(L, -3);
  }
  luaL_getmetatable(L, HEADERS_TYPE);
  lua_setmetatable(L, -2);
}

/* ---- What all results tell ---- */

static void set_text(lua_State *L, const char *name, const char *value) {
  if (!*value) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static void set_facts(lua_State *L, const ps_result *r) {
  if (ps_result_status(r) != 0) {
    push_integer(L, ps_result_status(r));
    lua_setfield(L, -2, "status");
  }
  push_integer(L, ps_result_attempts(r));
  lua_setfield(L, -2, "attempts");
  push_headers(L, r);
  lua_setfield(L, -2, "headers");
  set_text(L, "request_id", ps_result_request_id(r));
  set_text(L, "idempotency_key", ps_result_idempotency_key(r));
}

/* The server's own fields first, so that ours stand where a name is in both; what it sent as null is absent. */
void push_error(lua_State *L, const ps_result *r) {
  lua_createtable(L, 0, 16);
  for (const ps_value *v = ps_first(ps_error_data(r)); v; v = ps_next(v)) {
    size_t length;
    const char *key = ps_key(v, &length);
    if (ps_type(v, NULL) == PS_NULL) continue;
    lua_pushlstring(L, key, length);
    push_value(L, v, NULL, NULL);
    lua_rawset(L, -3);
  }
  set_facts(L, r);
  set_text(L, "kind", ps_error_kind_name(ps_error_kind(r)));
  set_text(L, "message", ps_error_message(r));
  set_text(L, "outcome", ps_outcome_name(ps_error_outcome(r)));
  set_text(L, "code", ps_error_code(r));
  luaL_getmetatable(L, ERROR_TYPE);
  lua_setmetatable(L, -2);
}

int push_result(lua_State *L, const ps_result *r, const page_context *pages, bool binary) {
  if (!ps_result_ok(r)) {
    lua_pushnil(L);
    push_error(L, r);
    return 2;
  }
  if (binary) {
    size_t length;
    const char *body = ps_result_body(r, &length);
    lua_pushlstring(L, body, length);
  } else {
    push_value(L, ps_data(r), to_fields(L, pages->fields), pages);
  }
  lua_createtable(L, 0, 5);
  set_facts(L, r);
  return 2;
}
