/* Value → Lua. Tables are made with their exact size and filled raw; this is where a list export spends its time.
 *
 * A page ({"object": "list", "data": [...], "has_more": true}) gets a metatable with what it needs to go on:
 *
 *   page ──metatable──▶ {__index = {each, fetch_next}, client, fields?, at?, own, ids?, origin ──▶ a result without data}
 *
 * The whole pages nested in a result share one. A projection may drop the items' ids: then each page has its own, with
 * `ids`; of a nested page, `at` says which part of `fields` its items are given.
 *
 * A Lua error (no memory) may leave this file at any push: values belong to a result, and nothing is owned here. */
#include "module.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct pusher {
  lua_State *L;
  const page_context *pages; /* NULL: lists of pages stay plain tables */
  const ps_value *root;
  int array; /* stack index of the metatable of lists */
  int page;  /* stack index of a slot for that of nested pages: nil until the first is met */
} pusher;

void push_integer(lua_State *L, int64_t i) {
#if LUA_HAS_INTEGERS
  lua_pushinteger(L, (lua_Integer)i);
#else
  const int64_t limit = INT64_C(1) << 53;
  char text[32];
  if (i >= -limit && i <= limit) {
    lua_pushnumber(L, (lua_Number)i);
  } else {
    snprintf(text, sizeof text, "%" PRId64, i);
    lua_pushstring(L, text);
  }
#endif
}

/* An integer beyond int64, and a number beyond a double's range, stay text; "-0" is neither. */
static void push_number(lua_State *L, const ps_value *v) {
  const char *text = ps_str(v, NULL);
  double d = ps_double(v, NULL);
  if ((strpbrk(text, ".eE") || strcmp(text, "-0") == 0) && d - d == 0) lua_pushnumber(L, d);
  else lua_pushstring(L, text);
}

static void push_any(const pusher *p, const ps_value *v);
static void push_projected(const pusher *p, const ps_value *v, const field *f);

/* ---- Pages ---- */

/* A list of v1, a search result or a list of v2: all have `data`, and tell whether there is more. Other objects of the API,
 * which name themselves, are not searched for that: most that a projection meets are such. */
static bool is_page(const ps_value *map) {
  const char *object = ps_str(ps_map_get(map, "object", 6), NULL);
  if (*object && strcmp(object, "list") != 0 && strcmp(object, "search_result") != 0) return false;
  if (ps_type(ps_map_get(map, "data", 4), NULL) != PS_LIST) return false;
  const ps_value *more = ps_map_get(map, "has_more", 8);
  return more ? ps_type(more, NULL) == PS_BOOL : ps_map_get(map, "next_page_url", 13) != NULL;
}

static void push_ids(lua_State *L, const ps_value *page) {
  int i = 0;
  const ps_value *data = ps_map_get(page, "data", 4);
  lua_createtable(L, (int)ps_count(data), 0);
  for (const ps_value *item = ps_first(data); item; item = ps_next(item)) {
    size_t length;
    const char *id = ps_strn(ps_map_get(item, "id", 2), NULL, &length);
    lua_pushlstring(L, id, length);
    lua_rawseti(L, -2, ++i);
  }
}

/* What is left of the items of a page, for those of the next ones. */
static void set_items(const pusher *p, const ps_value *page, const field *items) {
  lua_State *L = p->L;
  lua_pushvalue(L, p->pages->fields);
  lua_setfield(L, -2, "fields");
  if (page != p->root) {
    lua_pushinteger(L, items - to_fields(L, p->pages->fields));
    lua_setfield(L, -2, "at");
  }
  push_ids(L, page);
  lua_setfield(L, -2, "ids");
}

/* `items`: what a projection leaves of them, or NULL: all. */
static void push_page_metatable(const pusher *p, const ps_value *page, const field *items) {
  lua_State *L = p->L;
  lua_createtable(L, 0, 8);
  luaL_getmetatable(L, PAGE_TYPE);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, PAGE_TYPE);
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, p->pages->client);
  lua_setfield(L, -2, "client");
  lua_pushboolean(L, page == p->root);
  lua_setfield(L, -2, "own");
  push_origin(L, p->pages->result);
  lua_setfield(L, -2, "origin");
  if (items) set_items(p, page, items);
}

/* Gives the table on the top of the stack, which shows `page`, its metatable. */
static void mark_page(const pusher *p, const ps_value *page, const field *items) {
  lua_State *L = p->L;
  bool shared = !items && page != p->root;
  if (shared && !lua_isnil(L, p->page)) {
    lua_pushvalue(L, p->page);
  } else {
    push_page_metatable(p, page, items);
    if (shared) {
      lua_pushvalue(L, -1);
      lua_replace(L, p->page);
    }
  }
  lua_setmetatable(L, -2);
}

/* ---- Whole values ---- */

static void push_list(const pusher *p, const ps_value *list) {
  lua_State *L = p->L;
  int i = 0;
  luaL_checkstack(L, 8, "a result is nested too deep");
  lua_createtable(L, (int)ps_count(list), 0);
  for (const ps_value *v = ps_first(list); v; v = ps_next(v)) {
    push_any(p, v);
    lua_rawseti(L, -2, ++i);
  }
  lua_pushvalue(L, p->array);
  lua_setmetatable(L, -2);
}

static void push_map(const pusher *p, const ps_value *map) {
  lua_State *L = p->L;
  bool has_data = false;
  luaL_checkstack(L, 8, "a result is nested too deep");
  lua_createtable(L, 0, (int)ps_count(map));
  for (const ps_value *v = ps_first(map); v; v = ps_next(v)) {
    size_t length;
    const char *key = ps_key(v, &length);
    if (length == 4 && memcmp(key, "data", 4) == 0) has_data = true;
    lua_pushlstring(L, key, length);
    push_any(p, v);
    lua_rawset(L, -3);
  }
  if (has_data && p->pages && is_page(map)) mark_page(p, map, NULL);
}

static void push_any(const pusher *p, const ps_value *v) {
  size_t length;
  const char *s;
  switch (ps_type(v, NULL)) {
    case PS_NULL: lua_pushlightuserdata(p->L, NULL); break;
    case PS_BOOL: lua_pushboolean(p->L, ps_bool(v, NULL)); break;
    case PS_INT: push_integer(p->L, ps_int(v, NULL)); break;
    case PS_NUMBER: push_number(p->L, v); break;
    case PS_STRING:
      s = ps_strn(v, NULL, &length);
      lua_pushlstring(p->L, s, length);
      break;
    case PS_LIST: push_list(p, v); break;
    case PS_MAP: push_map(p, v); break;
  }
}

/* ---- What a projection leaves ---- */

static bool has_children(const ps_value *v) {
  ps_value_type type = ps_type(v, NULL);
  return type == PS_MAP || type == PS_LIST;
}

/* A projection passes through arrays: it applies to each item. */
static void push_projected_list(const pusher *p, const ps_value *list, const field *f) {
  lua_State *L = p->L;
  int i = 0;
  lua_createtable(L, (int)ps_count(list), 0);
  for (const ps_value *v = ps_first(list); v; v = ps_next(v)) {
    if (!has_children(v)) continue;
    push_projected(p, v, f);
    lua_rawseti(L, -2, ++i);
  }
  lua_pushvalue(L, p->array);
  lua_setmetatable(L, -2);
}

/* "lines.amount" and "lines.data.amount" name the same, but for the result's own page: an event's `data` is its own. */
static const field *fields_of_items(const pusher *p, const ps_value *page, const field *f) {
  if (page == p->root) return f;
  for (const field *child = f->child; child; child = child->next) {
    if (child->length == 4 && memcmp(child->name, "data", 4) == 0) return child;
  }
  return f;
}

/* Of a page, the items are projected and the rest stays: paging needs it. */
static void push_projected_page(const pusher *p, const ps_value *page, const field *f) {
  lua_State *L = p->L;
  const field *items = fields_of_items(p, page, f);
  if (items->whole) {
    push_any(p, page);
    return;
  }
  lua_createtable(L, 0, (int)ps_count(page));
  for (const ps_value *v = ps_first(page); v; v = ps_next(v)) {
    size_t length;
    const char *key = ps_key(v, &length);
    lua_pushlstring(L, key, length);
    if (length == 4 && memcmp(key, "data", 4) == 0) push_projected_list(p, v, items);
    else push_any(p, v);
    lua_rawset(L, -3);
  }
  if (p->pages) mark_page(p, page, items);
}

static void push_projected_map(const pusher *p, const ps_value *map, const field *parent) {
  lua_State *L = p->L;
  lua_createtable(L, 0, parent->count);
  for (const field *f = parent->child; f; f = f->next) {
    const ps_value *v = ps_map_get(map, f->name, f->length);
    if (!v || (!f->whole && !has_children(v))) continue;
    lua_pushlstring(L, f->name, f->length);
    if (f->whole) push_any(p, v);
    else push_projected(p, v, f);
    lua_rawset(L, -3);
  }
}

static void push_projected(const pusher *p, const ps_value *v, const field *f) {
  luaL_checkstack(p->L, 8, "a result is nested too deep");
  if (ps_type(v, NULL) == PS_LIST) push_projected_list(p, v, f);
  else if (is_page(v)) push_projected_page(p, v, f);
  else push_projected_map(p, v, f);
}

void push_value(lua_State *L, const ps_value *v, const field *fields, const page_context *pages) {
  luaL_checkstack(L, 8, "a result is nested too deep");
  luaL_getmetatable(L, ARRAY_TYPE);
  pusher p = {.L = L, .pages = pages, .root = v, .array = lua_gettop(L)};
  lua_pushnil(L);
  p.page = lua_gettop(L);
  if (fields && has_children(v)) push_projected(&p, v, fields);
  else push_any(&p, v);
  lua_replace(L, p.array);
  lua_settop(L, p.array);
}
