/* The Lua state with the behaviour: opened with what is embedded and nothing of the machine's, called with requests, times
 * and outcomes. Each call into it runs in one protected C function, so that everything it takes, tables and memory, can fail
 * in one way: an error, which the client reads in a 500.
 *
 * What the behaviour calls is in the table that `sandbox.new` receives as its second argument:
 *
 *   server.url                                        "http://127.0.0.1:40001"
 *   server.deliver{id, url, body, headers, timeout}   posts; box:delivered(id, status or nil, error or nil) follows
 *   server.finish(key, reply)                         answers the request held under `wait = key`; false: there is none
 *   server.wake(seconds)                              calls box:tick() by then at the latest */
#include "server.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "embedded.h"
#include "host.h"
#include "pinstripe.h"
#include "pinstripe_lua.h"

/* Their addresses are keys of the registry. */
static const char box_key, known_key, sandbox_key;

struct ps_sandbox *behaviour_sandbox(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &sandbox_key);
  struct ps_sandbox *s = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return s;
}

/* ---- What the behaviour calls ---- */

static int server_deliver(lua_State *L) {
  struct ps_sandbox *s = behaviour_sandbox(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  if (!s->courier) s->courier = courier_new(s->wake);
  if (!s->courier) return luaL_error(L, "not enough memory");
  courier_send(L, 1, s->courier);
  return 0;
}

static int server_finish(lua_State *L) {
  request *r = front_awaited(behaviour_sandbox(L), luaL_checkstring(L, 1));
  luaL_checktype(L, 2, LUA_TTABLE);
  if (r) {
    reply_dispose(&r->reply);
    front_hold(r, clock_ms()); /* the end of the connection, should the reply be none */
    reply_read(L, 2, r);
    front_hold(r, r->reply.key ? INT64_MAX : clock_after(r->reply.delay));
  }
  lua_pushboolean(L, r != NULL);
  return 1;
}

static int server_wake(lua_State *L) {
  struct ps_sandbox *s = behaviour_sandbox(L);
  int64_t at = clock_after(luaL_checknumber(L, 1));
  if (at < s->tick_at) s->tick_at = at;
  return 0;
}

static const luaL_Reg server_functions[] = {
  {"deliver", server_deliver}, {"finish", server_finish}, {"wake", server_wake}, {NULL, NULL}};

/* ---- Opening ---- */

/* The searcher of embedded modules, the only one after package.preload. */
static int search_embedded(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  char chunk[100];
  for (const embedded_module *m = embedded_modules; m->name; m++) {
    if (strcmp(m->name, name) != 0) continue;
    snprintf(chunk, sizeof chunk, "=%s", name);
    if (luaL_loadbufferx(L, (const char *)m->code, m->size, chunk, "b") != LUA_OK) return lua_error(L);
    lua_pushstring(L, name);
    return 2;
  }
  lua_pushfstring(L, "no module '%s' is embedded", name);
  return 1;
}

/* `require` finds what is embedded: no file of the machine, whatever LUA_PATH says. */
static void restrict_modules(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  lua_createtable(L, 2, 0);
  lua_rawgeti(L, -2, 1);
  lua_rawseti(L, -2, 1);
  lua_pushcfunction(L, search_embedded);
  lua_rawseti(L, -2, 2);
  lua_setfield(L, -3, "searchers");
  lua_pop(L, 1);
  lua_pushnil(L);
  lua_setfield(L, -2, "loadlib");
  lua_pop(L, 1);
}

/* Lua's own seed is the time and an address: two sandboxes of one second would often throw the same dice. */
static void seed_dice(lua_State *L) {
  lua_Integer words[2] = {0, 0};
  if (getrandom(words, sizeof words, 0) != (ssize_t)sizeof words) return;
  lua_getglobal(L, LUA_MATHLIBNAME);
  lua_getfield(L, -1, "randomseed");
  lua_pushinteger(L, words[0]);
  lua_pushinteger(L, words[1]);
  lua_call(L, 2, 0);
  lua_pop(L, 1);
}

/* Of `os`, what tells the time; neither files nor processes are the behaviour's business. */
static void open_clock(lua_State *L) {
  static const char *const kept[] = {"time", "date", "difftime", "clock"};
  luaL_requiref(L, LUA_OSLIBNAME, luaopen_os, 0);
  lua_createtable(L, 0, 4);
  for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
    lua_getfield(L, -2, kept[i]);
    lua_setfield(L, -2, kept[i]);
  }
  lua_setglobal(L, LUA_OSLIBNAME);
  lua_pop(L, 1);
}

static void open_libraries(lua_State *L) {
  static const luaL_Reg libraries[] = {{LUA_GNAME, luaopen_base},          {LUA_LOADLIBNAME, luaopen_package},
                                       {LUA_TABLIBNAME, luaopen_table},    {LUA_STRLIBNAME, luaopen_string},
                                       {LUA_MATHLIBNAME, luaopen_math},    {LUA_UTF8LIBNAME, luaopen_utf8},
                                       {LUA_COLIBNAME, luaopen_coroutine}, {NULL, NULL}};
  for (const luaL_Reg *l = libraries; l->name; l++) {
    luaL_requiref(L, l->name, l->func, 1);
    lua_pop(L, 1);
  }
  open_clock(L);
  seed_dice(L);
  restrict_modules(L);
  luaL_requiref(L, "pinstripe.core", luaopen_pinstripe_core, 0);
  luaL_requiref(L, "sandbox.host", luaopen_sandbox_host, 0);
  lua_pushcfunction(L, host_multipart);
  lua_setfield(L, -2, "multipart");
  lua_pop(L, 2);
}

static void push_options(lua_State *L, const ps_sandbox_options *options) {
  lua_newtable(L);
  if (options->seed < 0) return;
  lua_pushinteger(L, options->seed);
  lua_setfield(L, -2, "seed");
}

/* Stack: the sandbox, its options. */
static int protected_open(lua_State *L) {
  struct ps_sandbox *s = lua_touserdata(L, 1);
  lua_pushvalue(L, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &sandbox_key);
  lua_createtable(L, KNOWN_TEXTS, 0);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &known_key);
  open_libraries(L);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "sandbox");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "new");
  push_options(L, lua_touserdata(L, 2));
  luaL_newlib(L, server_functions);
  lua_pushstring(L, s->url);
  lua_setfield(L, -2, "url");
  lua_call(L, 2, 1);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &box_key);
  return 0;
}

/* The error on the top of the stack, read without any allocation, which could fail out of all protection. */
static const char *reason_of(lua_State *L) {
  return lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "an error that is not a string";
}

bool behaviour_open(struct ps_sandbox *s, const ps_sandbox_options *options) {
  s->memory = pool_new();
  lua_State *L = s->lua = s->memory ? lua_newstate(pool_allocate, s->memory) : NULL;
  s->tick_at = clock_ms();
  if (!L) {
    snprintf(s->error, sizeof s->error, "not enough memory");
    return false;
  }
  /* A collection begins at three times what the last one left and looks at one byte for each that is allocated, 256 KiB at
   * a time. Lua's own pace, a hundred for each, would hold up requests for as long as it takes to look at all of them. */
  lua_gc(L, LUA_GCINC, 300, 1, 18);
  lua_pushcfunction(L, protected_open);
  lua_pushlightuserdata(L, s);
  lua_pushlightuserdata(L, (void *)(uintptr_t)options);
  if (lua_pcall(L, 2, 0, 0) == LUA_OK) return true;
  snprintf(s->error, sizeof s->error, "%s", reason_of(L));
  return false;
}

void behaviour_close(struct ps_sandbox *s) {
  if (s->lua) lua_close(s->lua);
  pool_free(s->memory);
  s->lua = NULL;
  s->memory = NULL;
}

/* ---- Calling ---- */

/* Pushes the method and the box. */
static void push_method(lua_State *L, const char *name) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &box_key);
  lua_getfield(L, -1, name);
  lua_insert(L, -2);
}

/* Pushes a text that mostly was in an earlier request, too. Lua would look for it among all the strings that there are, in
 * memory that was not touched of late; `table` keeps it, at the place where `known` notes what it is. */
static void push_known(lua_State *L, known_text *known, int table, const char *text, size_t length) {
  const unsigned char *b = (const unsigned char *)text;
  size_t place = length ? (length * 7 + b[0] * 5U + b[length / 2] * 3U + b[length - 1]) % KNOWN_TEXTS : 0;
  known_text *k = &known[place];
  if (k->text && k->length == length && memcmp(k->text, text, length) == 0) {
    lua_rawgeti(L, table, (lua_Integer)place + 1);
    return;
  }
  lua_pushlstring(L, text, length);
  if (length > MOST_KNOWN) return;
  k->text = NULL;
  lua_pushvalue(L, -1);
  lua_rawseti(L, table, (lua_Integer)place + 1);
  *k = (known_text){lua_tostring(L, -1), length};
}

/* Names of headers, lowercase. */
static void push_name(lua_State *L, known_text *known, int table, const char *name, size_t length) {
  luaL_Buffer b;
  char few[MOST_KNOWN], *to = length > MOST_KNOWN ? luaL_buffinitsize(L, &b, length) : few;
  for (size_t i = 0; i < length; i++)
    to[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + ('a' - 'A') : name[i]);
  if (to != few) luaL_pushresultsize(&b, length);
  else push_known(L, known, table, few, length);
}

static void push_headers(lua_State *L, const request *r) {
  const front_header *headers = (const front_header *)(const void *)r->headers.data;
  size_t count = r->headers.length / sizeof *headers;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &known_key);
  int table = lua_gettop(L);
  lua_createtable(L, 0, (int)count);
  for (size_t i = 0; i < count; i++) {
    push_name(L, r->sandbox->known, table, headers[i].name, headers[i].name_length);
    push_known(L, r->sandbox->known, table, headers[i].value, headers[i].value_length);
    lua_rawset(L, -3);
  }
  lua_remove(L, table);
}

static void push_request(lua_State *L, const request *r) {
  size_t path = strcspn(r->uri.data, "?");
  lua_createtable(L, 0, 5);
  lua_pushstring(L, r->method);
  lua_setfield(L, -2, "method");
  lua_pushlstring(L, r->uri.data, path);
  lua_setfield(L, -2, "path");
  if (r->uri.data[path]) {
    lua_pushlstring(L, r->uri.data + path + 1, r->uri.length - path - 1);
    lua_setfield(L, -2, "query");
  }
  push_headers(L, r);
  lua_setfield(L, -2, "headers");
  if (r->body.length == 0) return;
  lua_pushlstring(L, r->body.data, r->body.length);
  lua_setfield(L, -2, "body");
}

static int protected_handle(lua_State *L) {
  request *r = lua_touserdata(L, 1);
  push_method(L, "handle");
  push_request(L, r);
  lua_call(L, 2, 1);
  luaL_checktype(L, -1, LUA_TTABLE);
  reply_read(L, -1, r);
  return 0;
}

/* Calls a protected function with `argument`. False: an error, whose message is on the stack. */
static bool call(lua_State *L, lua_CFunction function, void *argument) {
  lua_settop(L, 0);
  lua_pushcfunction(L, function);
  lua_pushlightuserdata(L, argument);
  return lua_pcall(L, 1, 0, 0) == LUA_OK;
}

/* Notes why a call failed, for the next reply: nobody else could be told. */
static void note_failure(struct ps_sandbox *s, const char *when) {
  snprintf(s->failure, sizeof s->failure, "The sandbox failed %s: %s", when, reason_of(s->lua));
}

void behaviour_handle(request *r) {
  struct ps_sandbox *s = r->sandbox;
  s->current = r;
  if (!*s->failure && !call(s->lua, protected_handle, r)) note_failure(s, "while it answered this request");
  s->current = NULL;
  if (!*s->failure) return;
  reply_dispose(&r->reply);
  reply_refuse(&r->reply, 500, "api_error", s->failure);
  s->failure[0] = '\0';
}

static int protected_tick(lua_State *L) {
  struct ps_sandbox *s = lua_touserdata(L, 1);
  s->tick_at = INT64_MAX;
  push_method(L, "tick");
  lua_call(L, 1, 1);
  int64_t at = lua_isnil(L, -1) ? INT64_MAX : clock_after(luaL_checknumber(L, -1));
  if (at < s->tick_at) s->tick_at = at;
  return 0;
}

void behaviour_tick(struct ps_sandbox *s) {
  if (!call(s->lua, protected_tick, s)) note_failure(s, "at what was due before this request");
}

static int protected_delivered(lua_State *L) {
  push_method(L, "delivered");
  delivery_push(L, lua_touserdata(L, 1));
  lua_call(L, 4, 0);
  return 0;
}

void behaviour_delivered(struct ps_sandbox *s, const delivery *d) {
  if (!call(s->lua, protected_delivered, (void *)(uintptr_t)d)) note_failure(s, "after a webhook, before this request");
}
