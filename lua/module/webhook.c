/* Webhooks: core.webhook checks and reads what came, core.sign makes a header. A body that is no string reaches the core as
 * NULL, which has the words for it. */
#include "module.h"

enum { MOST_SECRETS = 32 };

static bool refuse_secrets(lua_State *L) {
  lua_pushliteral(L, "the secrets must be a string, or a list of up to 32 strings, without NUL");
  return false;
}

/* The string at `index`, which stays where it is, as a secret. */
static bool read_secret(lua_State *L, int index, const char **secret) {
  size_t length;
  if (lua_type(L, index) != LUA_TSTRING) return refuse_secrets(L);
  *secret = lua_tolstring(L, index, &length);
  return strlen(*secret) == length || refuse_secrets(L);
}

/* Reads a secret, a list of them, or nil, into `secrets`, ended by NULL. Those of a list are left on the stack. */
static bool read_secrets(lua_State *L, int index, const char **secrets) {
  secrets[0] = secrets[1] = NULL;
  if (lua_isnil(L, index)) return true;
  if (!lua_istable(L, index)) return read_secret(L, index, secrets);
  size_t count = raw_length(L, index);
  if (count > MOST_SECRETS) return refuse_secrets(L);
  luaL_checkstack(L, MOST_SECRETS + 8, "too many secrets");
  for (size_t i = 0; i < count; i++) {
    lua_rawgeti(L, index, (int)i + 1);
    if (!read_secret(L, -1, &secrets[i])) return false;
  }
  secrets[count] = NULL;
  return true;
}

/* Seconds, to the end of what any clock tells; nil: negative. */
static int64_t seconds_at(lua_State *L, int index) {
  lua_Number n = lua_isnil(L, index) ? -1 : luaL_checknumber(L, index);
  return n < 1e15 ? (int64_t)n : INT64_C(1000000000000000);
}

typedef ps_result *parse_signed(const char *body, size_t length, const char *header, const char *const *secrets,
                                int64_t tolerance, int64_t now);
typedef ps_result *parse_bare(const char *body, size_t length);

static const struct {
  const char *what;
  parse_signed *check;
  parse_bare *trust;
} readers[] = {
  {"signature", ps_webhook_verify, NULL},
  {"event", ps_event_parse, ps_event_parse_without_verification},
  {"notification", ps_notification_parse, ps_notification_parse_without_verification},
};

/* core.webhook(what, body, header, secrets, tolerance or nil, now or nil) → the event (of "signature": true); nil and the
 * error; or nil and a message. core.webhook(what, body): without verification. */
int core_webhook(lua_State *L) {
  const char *secrets[MOST_SECRETS + 1], *what = luaL_checkstring(L, 1);
  size_t length = 0, i = 0;
  bool bare = lua_gettop(L) == 2;
  lua_settop(L, 6);
  while (strcmp(readers[i].what, what) != 0) i++;
  const char *body = lua_type(L, 2) == LUA_TSTRING ? lua_tolstring(L, 2, &length) : NULL;
  const char *header = lua_type(L, 3) == LUA_TSTRING ? lua_tostring(L, 3) : NULL;
  if (!header && !lua_isnil(L, 3)) return misuse(L, "the header must be a string, not a %s", luaL_typename(L, 3));
  ps_result **box = push_result_box(L);
  if (!read_secrets(L, 4, secrets)) return misuse_pushed(L);
  *box = bare ? readers[i].trust(body, length)
              : readers[i].check(body, length, header, secrets, seconds_at(L, 5), seconds_at(L, 6));
  if (!ps_result_ok(*box)) {
    lua_pushnil(L);
    push_error(L, *box);
  } else if (i == 0) {
    lua_pushboolean(L, 1);
    lua_pushnil(L);
  } else {
    push_value(L, ps_data(*box), NULL, NULL);
    lua_pushnil(L);
  }
  ps_result_free(*box);
  *box = NULL;
  return 2;
}

/* core.sign(body, secret, timestamp) → "t=...,v1=..."; or nil and a message */
int core_sign(lua_State *L) {
  size_t length;
  const char *secret, *body = luaL_checklstring(L, 1, &length);
  if (!read_secret(L, 2, &secret)) return misuse_pushed(L);
  scratch *s = push_scratch(L);
  s->text = ps_webhook_sign(body, length, secret, seconds_at(L, 3));
  if (!s->text) return luaL_error(L, "not enough memory");
  lua_pushstring(L, s->text);
  clear_scratch(s);
  return 1;
}
