/* Meter event streams: a queue that is also a machine, of the token or batch that is under way (see iter.c for the pattern). A
 * stream that is collected while something is queued sends it first, so that the end of a script loses nothing: by the
 * core's own transport, as Lua cannot be called then. */
#include "module.h"

#include <stdio.h>

typedef struct meter {
  machine machine; /* first: a machine's methods work on a meter; the exchange is the meter's own */
  ps_meter *meter;
  bool flushes; /* when it is collected */
} meter;

static meter *check_meter(lua_State *L) {
  meter *m = luaL_checkudata(L, 1, METER_TYPE);
  if (!m->meter || m->machine.closed) luaL_error(L, "the stream is closed");
  return m;
}

/* A finalizer cannot tell anybody else. */
static void warn_of_loss(lua_State *L, const ps_meter *m) {
#if LUA_VERSION_NUM >= 504
  char count[120];
  snprintf(count, sizeof count,
           "pinstripe: a meter stream ended, and %zu of its events were not sent: ", ps_meter_pending(m));
  lua_warning(L, count, 1);
  lua_warning(L, ps_error_message(ps_meter_result(m)), 0);
#else
  (void)L, (void)m;
#endif
}

int meter_gc(lua_State *L) {
  meter *m = test_userdata(L, 1, METER_TYPE);
  if (!m) return 0;
  if (m->meter && m->flushes && !ps_meter_finish(m->meter)) warn_of_loss(L, m->meter);
  ps_meter_free(m->meter);
  *m = (meter){.meter = NULL};
  return 0;
}

/* core.meter(client, max_age, max_pending, whether the core may send by itself) → meter */
int core_meter(lua_State *L) {
  ps_client *client = check_client(L, 1);
  lua_Number max_age = luaL_optnumber(L, 2, -1), most = luaL_optnumber(L, 3, -1);
  meter *m = new_userdata(L, sizeof *m);
  *m = (meter){.flushes = lua_toboolean(L, 4)};
  luaL_getmetatable(L, METER_TYPE);
  lua_setmetatable(L, -2);
  m->meter = ps_meter_new(client, max_age, most >= 1 && most < 1e9 ? (int64_t)most : -1);
  if (!m->meter) return luaL_error(L, "not enough memory");
  return 1;
}

/* meter:add(event) → true; or nil and a message */
static int meter_add(lua_State *L) {
  const meter *m = check_meter(L);
  scratch *s = push_scratch(L);
  s->params = ps_value_new();
  if (!read_map(L, 2, s->params, "event", NULL)) return misuse_pushed(L);
  const char *wrong = ps_meter_add(m->meter, s->params);
  clear_scratch(s);
  if (wrong) return misuse(L, "%s", wrong);
  lua_pushboolean(L, 1);
  return 1;
}

/* meter:pending() → how many events are queued, seconds until something is due (nil: nothing is queued), and whether that is
 * the pause after a failure */
static int meter_pending(lua_State *L) {
  const meter *m = check_meter(L);
  int64_t wait = ps_meter_wait(m->meter);
  push_integer(L, (int64_t)ps_meter_pending(m->meter));
  if (wait < 0) return 1;
  lua_pushnumber(L, (lua_Number)wait / 1000);
  lua_pushboolean(L, ps_meter_pause(m->meter) > 0);
  return 3;
}

/* meter:fetch() → whether something is to be sent: a driver steps the meter then, and feeds it; or false and why what is
 * left is not sent: it was set aside */
static int meter_fetch(lua_State *L) {
  meter *m = check_meter(L);
  m->machine.exchange = ps_meter_exchange(m->meter);
  lua_pushboolean(L, m->machine.exchange != NULL);
  if (m->machine.exchange || ps_meter_pending(m->meter) == 0) return 1;
  push_error(L, ps_meter_result(m->meter));
  return 2;
}

/* meter:set_aside() → whether the batch that failed is passed over */
static int meter_set_aside(lua_State *L) {
  lua_pushboolean(L, ps_meter_set_aside(check_meter(L)->meter));
  return 1;
}

/* meter:feed_back() → true; or nil, error */
static int meter_feed_back(lua_State *L) {
  meter *m = check_meter(L);
  m->machine.exchange = NULL;
  m->machine.sending = false;
  if (ps_meter_feed(m->meter)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  lua_pushnil(L);
  push_error(L, ps_meter_result(m->meter));
  return 2;
}

/* meter:skip() → the events of the batch that failed, which are out of the queue */
static int meter_skip(lua_State *L) {
  const meter *m = check_meter(L);
  scratch *s = push_scratch(L);
  s->params = ps_meter_skip(m->meter);
  if (*ps_value_error(s->params)) return luaL_error(L, "not enough memory");
  push_value(L, s->params, NULL, NULL);
  clear_scratch(s);
  return 1;
}

/* meter:close(): what is queued is dropped. */
static int meter_close(lua_State *L) {
  meter *m = luaL_checkudata(L, 1, METER_TYPE);
  m->flushes = false;
  if (!m->machine.reading) return meter_gc(L);
  m->machine.closed = true;
  return 0;
}

const luaL_Reg meter_methods[] = {
  {"add", meter_add},   {"pending", meter_pending}, {"fetch", meter_fetch},         {"feed_back", meter_feed_back},
  {"skip", meter_skip}, {"close", meter_close},     {"set_aside", meter_set_aside}, {NULL, NULL},
};
