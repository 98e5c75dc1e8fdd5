/* Iterators, and what a page keeps to become one.
 *
 *   each()       core.iter ────────────▶ iter ──next()──▶ items, pages fetched by the core (one ahead)
 *                                             ──item(), fetch(), feed()──▶ the same, driven from Lua
 *   page:each()  core.iter_page ─stub of the page─▶ iter ──take()──▶ only counts: the items are in the page's own table
 *
 * A page in Lua is a copy, its result is gone; its metatable keeps the `origin`, a result without data. The stub gives the
 * pager what it needs of the copy: its place and its items' ids. */
#include "module.h"

enum { SLICE_MS = 100 };

typedef struct iter {
  machine machine; /* first: a machine's methods work on an iterator; the exchange is the iterator's own */
  ps_iter *iter;
  struct census *census; /* NULL once closed; lives as long as the Lua state */
} iter;

/* Of one Lua state: how many iterators are open, and how many may be before the collector is asked for those that nobody
 * uses any more. It cannot know by itself that each holds a page, perhaps a megabyte, outside its memory. */
typedef struct census {
  size_t open, most;
} census;

enum { FEW_ITERATORS = 32 };

static const char census_key;

static census *get_census(lua_State *L) {
  get_registry(L, &census_key);
  census *c = lua_touserdata(L, -1);
  lua_pop(L, 1);
  if (c) return c;
  c = new_userdata(L, sizeof *c);
  *c = (census){.most = FEW_ITERATORS};
  set_registry(L, &census_key);
  return c;
}

static iter *push_iter(lua_State *L) {
  census *c = get_census(L);
  if (c->open >= c->most) {
    lua_gc(L, LUA_GCCOLLECT, 0);
    c->most = c->open < FEW_ITERATORS / 2 ? FEW_ITERATORS : c->open * 2;
  }
  iter *it = new_userdata(L, sizeof *it);
  *it = (iter){.census = c};
  luaL_getmetatable(L, ITER_TYPE);
  lua_setmetatable(L, -2);
  c->open++;
  return it;
}

static iter *check_iter(lua_State *L) {
  iter *it = luaL_checkudata(L, 1, ITER_TYPE);
  if (!it->iter || it->machine.closed) luaL_error(L, "the iterator is closed");
  return it;
}

int iter_gc(lua_State *L) {
  iter *it = test_userdata(L, 1, ITER_TYPE);
  if (!it || !it->census) return 0;
  it->census->open--;
  ps_iter_free(it->iter);
  *it = (iter){.census = NULL};
  return 0;
}

/* iter:close(). While the core's memory is being read, a finalizer or a metamethod may get here: then the collector frees
 * the iterator later. */
static int close_iter(lua_State *L) {
  iter *it = luaL_checkudata(L, 1, ITER_TYPE);
  if (!it->machine.reading) return iter_gc(L);
  it->machine.closed = true;
  return 0;
}

/* ---- From an operation, or from a cursor ---- */

static bool is_of_operation(const char *cursor, size_t length, const ps_api_operation *op, scratch *s) {
  ps_value_free(s->params);
  s->params = ps_value_parse(cursor, length);
  const ps_api_operation *other = ps_operation_route(ps_str(s->params, "method"), ps_str(s->params, "path"));
  return !other || other == op || other == ps_operation_alias_of(op);
}

/* Pushes the cursor, or nil. False: the message is pushed. */
static bool push_cursor(lua_State *L, const ps_api_operation *op, const arguments *a) {
  size_t length;
  lua_pushliteral(L, "cursor");
  if (a->options_index) lua_rawget(L, a->options_index);
  if (!a->options_index || lua_isnil(L, -1)) {
    lua_pushnil(L);
    return true;
  }
  const char *why = NULL, *cursor = lua_type(L, -1) == LUA_TSTRING ? lua_tolstring(L, -1, &length) : NULL;
  if (!cursor) why = "the option cursor must be a string, as it:cursor() gave it";
  else if (a->options.api_key)
    why = "the option api_key cannot stand beside cursor: a cursor goes on with the client's own key";
  else if (!is_of_operation(cursor, length, op, a->scratch)) why = "the cursor is that of another list";
  if (!why) return true;
  lua_pushfstring(L, "%s:each: %s", ps_service_path(ps_operation_service(op)), why);
  return false;
}

/* core.iter(client, operation, id..., params, options) → iter, fields or nil; or nil and a message */
int core_iter(lua_State *L) {
  static const char *const options_of_lua[] = {"fields", "cursor", NULL};
  arguments a;
  ps_client *client = check_client(L, 1);
  const ps_api_operation *op = check_operation(L, 2);
  if (!read_arguments(L, 3, op, options_of_lua, &a)) return misuse_pushed(L);
  if (!push_cursor(L, op, &a)) return misuse_pushed(L);
  const char *cursor = lua_tostring(L, -1);
  iter *it = push_iter(L);
  if (cursor) it->iter = ps_iter_resume(client, cursor);
  else it->iter = ps_iter_new(client, ps_operation_id(op), a.ids, a.scratch->params, &a.options);
  clear_scratch(a.scratch);
  ps_value *fields = new_fields_value(L, a.fields_index);
  ps_iter_set_fields(it->iter, fields);
  ps_value_free(fields);
  lua_pushvalue(L, a.fields_index);
  return 2;
}

/* ---- From a page ---- */

int origin_gc(lua_State *L) {
  ps_result **box = test_userdata(L, 1, ORIGIN_TYPE);
  if (!box) return 0;
  ps_result_free(*box);
  *box = NULL;
  return 0;
}

ps_result **push_result_box(lua_State *L) {
  ps_result **box = new_userdata(L, sizeof *box);
  *box = NULL;
  luaL_getmetatable(L, ORIGIN_TYPE);
  lua_setmetatable(L, -2);
  return box;
}

void push_origin(lua_State *L, const ps_result *r) {
  ps_result **box = push_result_box(L);
  *box = ps_result_stub(r, NULL);
}

/* What `key` of the page at `page` holds, if it is a string, a boolean or null. */
static void read_place(lua_State *L, int page, const char *key, ps_value *into) {
  size_t length;
  lua_pushstring(L, key);
  lua_rawget(L, page);
  if (lua_type(L, -1) == LUA_TSTRING) {
    const char *s = lua_tolstring(L, -1, &length);
    ps_value_set_strn(ps_map_set(into, key), s, length);
  } else if (lua_isboolean(L, -1)) {
    ps_value_set_bool(ps_map_set(into, key), lua_toboolean(L, -1));
  } else if (lua_islightuserdata(L, -1)) {
    ps_value_set_null(ps_map_set(into, key));
  }
  lua_pop(L, 1);
}

/* The stub of an item: where it stands, and its id; its own, else the one in `ids`, which a projection has left out of it. */
static void read_item(lua_State *L, int data, int ids, int i, ps_value *into) {
  size_t length;
  ps_value_set_int(ps_map_set(into, "index"), i);
  lua_rawgeti(L, data, i);
  if (lua_istable(L, -1)) {
    lua_pushliteral(L, "id");
    lua_rawget(L, -2);
    lua_remove(L, -2);
  }
  if (lua_type(L, -1) != LUA_TSTRING && lua_istable(L, ids)) {
    lua_pop(L, 1);
    lua_rawgeti(L, ids, i);
  }
  if (lua_type(L, -1) == LUA_TSTRING) {
    const char *id = lua_tolstring(L, -1, &length);
    ps_value_set_strn(ps_map_set(into, "id"), id, length);
  }
  lua_pop(L, 1);
}

static void read_page(lua_State *L, int page, int ids, ps_value *into) {
  static const char *const keys[] = {"object", "url", "has_more", "next_page", "next_page_url"};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) read_place(L, page, keys[i], into);
  ps_value *data = ps_map_set(into, "data");
  ps_value_set_list(data);
  lua_pushliteral(L, "data");
  lua_rawget(L, page);
  int index = lua_gettop(L);
  int count = lua_istable(L, index) ? (int)raw_length(L, index) : 0;
  for (int i = 1; i <= count; i++) read_item(L, index, ids, i, ps_list_add(data));
  lua_pop(L, 1);
}

/* core.iter_page(client, page, origin, own, ids or nil) → iter. `own`: the page is the whole answer to a call, not a list
 * inside one. */
int core_iter_page(lua_State *L) {
  ps_client *client = check_client(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  ps_result **origin = luaL_checkudata(L, 3, ORIGIN_TYPE);
  lua_settop(L, 5);
  scratch *s = push_scratch(L);
  ps_result **stub = push_result_box(L);
  iter *it = push_iter(L);
  s->params = ps_value_new();
  read_page(L, 2, 5, s->params);
  if (lua_toboolean(L, 4)) {
    *stub = ps_result_stub(*origin, s->params);
    it->iter = ps_iter_from(client, *stub, NULL);
  } else {
    it->iter = ps_iter_from(client, *origin, s->params);
  }
  ps_result_free(*stub);
  *stub = NULL;
  clear_scratch(s);
  return 1;
}

/* ---- Items ---- */

/* Pushes the item, with the pages inside it able to go on. Stack: iter, client, fields. */
static int return_item(lua_State *L, iter *it, const ps_value *item) {
  it->machine.reading = true;
  const page_context pages = {.result = ps_iter_result(it->iter), .client = 2, .fields = 3};
  push_value(L, item, to_fields(L, 3), &pages);
  return end_reading(&it->machine, 1);
}

static int return_error(lua_State *L, iter *it) {
  lua_pushnil(L);
  if (ps_result_ok(ps_iter_result(it->iter))) return 1;
  it->machine.reading = true;
  push_error(L, ps_iter_result(it->iter));
  return end_reading(&it->machine, 2);
}

/* iter:next(client, fields) → the item; nil at the end; nil, error; or nil, nil, true: call again */
static int iter_next(lua_State *L) {
  bool waiting;
  iter *it = check_iter(L);
  lua_settop(L, 3);
  const ps_value *item = ps_iter_try_next(it->iter, SLICE_MS, &waiting);
  if (item) return return_item(L, it, item);
  if (!waiting) return return_error(L, it);
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushboolean(L, 1);
  return 3;
}

/* iter:item(client, fields) → the next item at hand, or nil */
static int iter_item(lua_State *L) {
  iter *it = check_iter(L);
  lua_settop(L, 3);
  const ps_value *item = ps_iter_item(it->iter);
  return item ? return_item(L, it, item) : 0;
}

/* iter:take() → where the next item stands in the table of the page that the iterator was made from; nil after the last */
static int iter_take(lua_State *L) {
  const ps_value *item = ps_iter_item(check_iter(L)->iter);
  if (!item) return 0;
  push_integer(L, ps_int(item, "index"));
  return 1;
}

/* iter:fetch() → whether there is a page to fetch: a driver steps the iterator then, and feeds it */
static int iter_fetch(lua_State *L) {
  iter *it = check_iter(L);
  it->machine.exchange = ps_iter_exchange(it->iter);
  lua_pushboolean(L, it->machine.exchange != NULL);
  return 1;
}

/* iter:feed() → true; or nil, error */
static int iter_feed(lua_State *L) {
  iter *it = check_iter(L);
  it->machine.exchange = NULL;
  it->machine.sending = false;
  if (!ps_iter_feed(it->iter)) return return_error(L, it);
  lua_pushboolean(L, 1);
  return 1;
}

/* iter:page(client, fields) → the page that was fetched last, response */
static int iter_page(lua_State *L) {
  iter *it = check_iter(L);
  lua_settop(L, 3);
  const page_context pages = {.result = ps_iter_result(it->iter), .client = 2, .fields = 3};
  it->machine.reading = true;
  return end_reading(&it->machine, push_result(L, pages.result, &pages, false));
}

/* iter:cursor() → where it stands, as JSON */
static int iter_cursor(lua_State *L) {
  scratch *s = push_scratch(L);
  const iter *it = check_iter(L);
  s->text = ps_iter_cursor(it->iter);
  if (!s->text) return luaL_error(L, "no cursor: the list could not begin (next() tells why), or not enough memory");
  lua_pushstring(L, s->text);
  clear_scratch(s);
  return 1;
}

const luaL_Reg iter_methods[] = {
  {"next", iter_next}, {"item", iter_item},     {"take", iter_take},   {"fetch", iter_fetch}, {"feed", iter_feed},
  {"page", iter_page}, {"cursor", iter_cursor}, {"close", close_iter}, {NULL, NULL},
};
