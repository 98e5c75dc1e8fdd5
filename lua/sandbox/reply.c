/* Replies: what the behaviour returns, or what the front refuses by itself, made ready for libmicrohttpd.
 *
 *   status, headers, body      what is sent
 *   delay = seconds            later
 *   wait = "key"               when the behaviour says server.finish("key", reply)
 *   close = "drop" | "reset"   never: the connection ends without a byte, or is reset
 *   truncate_at = bytes        only so many bytes of the body that Content-Length announces
 *   slow = bytes a second      piece by piece */
#include "server.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "pinstripe.h"

enum { PIECES_A_SECOND = 20 };

void reply_dispose(reply *p) {
  if (p->response) MHD_destroy_response(p->response);
  free(p->key);
  free(p->bytes);
  *p = (reply){.response = NULL};
}

/* ---- Bodies in pieces ---- */

/* How many bytes of the body may have been sent by now. */
static size_t allowed(reply *p) {
  int64_t now = clock_ms();
  if (p->since == 0) p->since = now;
  if (p->rate <= 0) return p->end;
  double bytes = 1 + (double)(now - p->since) * p->rate / 1000;
  return bytes < (double)p->end ? (size_t)bytes : p->end;
}

/* When the piece after the first `sent` bytes is due. */
static int64_t next_piece(const reply *p, size_t sent) {
  double piece = p->rate > PIECES_A_SECOND ? p->rate / PIECES_A_SECOND : 1;
  return p->since + 1 + (int64_t)(((double)sent + piece - 1) * 1000 / p->rate);
}

/* The connection ends here. Before the first byte of a body libmicrohttpd looks at the connection only when something
 * happens on it. */
static ssize_t cut(const request *r) {
  const union MHD_ConnectionInfo *info = MHD_get_connection_info(r->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (info) shutdown(info->connect_fd, SHUT_RDWR);
  return MHD_CONTENT_READER_END_WITH_ERROR;
}

static ssize_t read_piece(void *context, uint64_t position, char *buffer, size_t size) {
  request *r = context;
  reply *p = &r->reply;
  size_t sent = (size_t)position, may = allowed(p);
  if (sent >= p->end) return cut(r);
  if (may <= sent) {
    front_hold(r, next_piece(p, sent));
    return 0;
  }
  if (size > may - sent) size = may - sent;
  memcpy(buffer, p->bytes + sent, size);
  return (ssize_t)size;
}

static struct MHD_Response *new_pieces(request *r, const char *body, size_t length) {
  reply *p = &r->reply;
  p->bytes = malloc(length ? length : 1);
  if (!p->bytes) return NULL;
  memcpy(p->bytes, body, length);
  p->length = length;
  if (p->end > length) p->end = length;
  return MHD_create_response_from_callback(length, 64 * 1024, read_piece, r, NULL);
}

/* ---- From Lua ---- */

/* The number in a field of the table on the top of the stack, or `otherwise` if it is absent. */
static double number_field(lua_State *L, const char *name, double otherwise) {
  int type = lua_getfield(L, -1, name);
  double number = lua_tonumber(L, -1);
  if (type != LUA_TNIL && type != LUA_TNUMBER) luaL_error(L, "a reply's %s must be a number", name);
  lua_pop(L, 1);
  return type == LUA_TNIL ? otherwise : number;
}

/* Whether the connection is to end without a reply; p says how. */
static bool read_end(lua_State *L, reply *p) {
  bool ends = lua_getfield(L, -1, "close") != LUA_TNIL;
  if (ends) {
    const char *how = luaL_checkstring(L, -1);
    p->reset = strcmp(how, "reset") == 0;
    if (!p->reset && strcmp(how, "drop") != 0) luaL_error(L, "a reply's close must be drop or reset, not %s", how);
  }
  lua_pop(L, 1);
  return ends;
}

static void read_key(lua_State *L, reply *p) {
  if (lua_getfield(L, -1, "wait") != LUA_TNIL && !(p->key = strdup(luaL_checkstring(L, -1)))) {
    luaL_error(L, "not enough memory");
  }
  lua_pop(L, 1);
}

static void read_headers(lua_State *L, reply *p) {
  if (lua_getfield(L, -1, "headers") == LUA_TTABLE) {
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1)) {
      if (lua_type(L, -2) != LUA_TSTRING) luaL_error(L, "a name of a reply's headers is not a string");
      const char *name = lua_tostring(L, -2), *value = lua_tostring(L, -1);
      if (!value || MHD_add_response_header(p->response, name, value) != MHD_YES)
        luaL_error(L, "a reply cannot have the header %s", name);
    }
  }
  lua_pop(L, 1);
}

static void read_body(lua_State *L, request *r) {
  reply *p = &r->reply;
  size_t length = 0;
  double end = number_field(L, "truncate_at", -1);
  p->rate = number_field(L, "slow", 0);
  int type = lua_getfield(L, -1, "body");
  const char *body = type == LUA_TNIL ? "" : luaL_checklstring(L, -1, &length);
  if (end < 0 && p->rate <= 0) {
    p->response = MHD_create_response_from_buffer(length, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
  } else {
    p->end = end < 0 || end > (double)length ? length : (size_t)end;
    p->response = new_pieces(r, body, length);
  }
  lua_pop(L, 1);
  if (!p->response) luaL_error(L, "not enough memory");
}

void reply_read(lua_State *L, int index, request *r) {
  reply *p = &r->reply;
  lua_pushvalue(L, index);
  double status = number_field(L, "status", 200);
  p->delay = number_field(L, "delay", 0);
  read_key(L, p);
  bool ends = read_end(L, p);
  if (!(status >= 200 && status <= 599)) luaL_error(L, "a reply's status must be from 200 to 599");
  p->status = (unsigned)status;
  if (!ends && !p->key) {
    read_body(L, r);
    read_headers(L, p);
  }
  lua_pop(L, 1);
}

/* ---- The front's own ---- */

/* In the form of the behaviour's own, but of dice that no seed decides: these replies take nothing from its. */
static void add_request_id(struct MHD_Response *response) {
  static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  unsigned char dice[14] = {0};
  char id[] = "req_00000000000000";
  ssize_t thrown = getrandom(dice, sizeof dice, 0);
  for (ssize_t i = 0; i < thrown; i++) id[4 + i] = digits[dice[i] % 62];
  MHD_add_response_header(response, "Request-Id", id);
}

void reply_refuse(reply *p, unsigned status, const char *type, const char *message) {
  size_t length = 0;
  ps_value *body = ps_params("error[message]", message, "error[type]", type, NULL);
  char *text = ps_json(body, &length);
  ps_value_free(body);
  p->status = status;
  if (!text) return;
  p->response = MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_COPY);
  ps_free(text);
  if (!p->response) return;
  MHD_add_response_header(p->response, "Content-Type", "application/json");
  add_request_id(p->response);
}
