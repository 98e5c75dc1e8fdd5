/* multipart/form-data and urlencoded bodies into parts, by libmicrohttpd's parser, which needs the connection for the
 * boundary in its headers: so the request that is being answered is the only one that can be parsed.
 *
 *   host.multipart(body) → { {name=, content=, filename=, type=}, ... } in the order of the body
 *
 * The parser gives each part in pieces and calls back; Lua must not be touched there, so they are gathered in C first, in
 * a userdata that a Lua error cannot lose. */
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#include "server.h"

#define PARTS_TYPE "sandbox.parts"

enum { PARSER_BYTES = 16 * 1024 };

typedef struct part {
  struct part *next;
  char *name, *filename, *type;
  ps_buf content;
} part;

typedef struct parts {
  part *first, **last;
  part *open; /* the one that the next piece belongs to, unless it begins anew */
  struct MHD_PostProcessor *parser;
  bool failed;
} parts;

static void free_part(part *p) {
  free(p->name);
  free(p->filename);
  free(p->type);
  ps_buf_dispose(&p->content);
  free(p);
}

static int parts_gc(lua_State *L) {
  parts *all = luaL_checkudata(L, 1, PARTS_TYPE);
  if (all->parser) MHD_destroy_post_processor(all->parser);
  all->parser = NULL;
  while (all->first) {
    part *next = all->first->next;
    free_part(all->first);
    all->first = next;
  }
  return 0;
}

/* NULL stays NULL; a failure is noted. */
static char *copy(parts *all, const char *text) {
  char *s = text ? strdup(text) : NULL;
  if (text && !s) all->failed = true;
  return s;
}

static void begin_part(parts *all, const char *name, const char *filename, const char *type) {
  part *p = calloc(1, sizeof *p);
  all->open = p;
  all->failed = !p;
  if (!p) return;
  p->name = copy(all, name ? name : "");
  p->filename = copy(all, filename);
  p->type = copy(all, type);
  *all->last = p;
  all->last = &p->next;
}

static enum MHD_Result on_piece(void *context, enum MHD_ValueKind kind, const char *name, const char *filename,
                                const char *type, const char *encoding, const char *data, uint64_t offset,
                                size_t length) {
  parts *all = context;
  (void)kind, (void)encoding;
  if (offset == 0) begin_part(all, name, filename, type);
  if (all->failed || !all->open) return MHD_NO;
  ps_buf_add(&all->open->content, data, length);
  all->failed = all->open->content.failed;
  return all->failed ? MHD_NO : MHD_YES;
}

static void set_string(lua_State *L, const char *name, const char *value) {
  if (!value) return;
  lua_pushstring(L, value);
  lua_setfield(L, -2, name);
}

static void push_parts(lua_State *L, const parts *all) {
  lua_Integer n = 0;
  lua_newtable(L);
  for (const part *p = all->first; p; p = p->next) {
    lua_createtable(L, 0, 4);
    set_string(L, "name", p->name);
    set_string(L, "filename", p->filename);
    set_string(L, "type", p->type);
    lua_pushlstring(L, p->content.length ? p->content.data : "", p->content.length);
    lua_setfield(L, -2, "content");
    lua_rawseti(L, -2, ++n);
  }
}

static parts *new_parts(lua_State *L) {
  parts *all = lua_newuserdatauv(L, sizeof *all, 0);
  *all = (parts){.last = &all->first};
  if (luaL_newmetatable(L, PARTS_TYPE)) {
    lua_pushcfunction(L, parts_gc);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  return all;
}

/* Feeds the body in one piece. What is left open at its end is wrong, and so is a body in which the boundary is not found:
 * the parser takes all of it for a preamble. */
static bool parse(parts *all, const char *body, size_t length) {
  bool read = MHD_post_process(all->parser, body, length) == MHD_YES;
  bool ended = MHD_destroy_post_processor(all->parser) == MHD_YES;
  all->parser = NULL;
  return read && ended && all->first;
}

int host_multipart(lua_State *L) {
  size_t length;
  const char *body = luaL_checklstring(L, 1, &length);
  const request *r = behaviour_sandbox(L)->current;
  if (!r) return luaL_error(L, "multipart is for the request that is being answered, and there is none");
  parts *all = new_parts(L);
  all->parser = MHD_create_post_processor(r->connection, PARSER_BYTES, on_piece, all);
  bool read = all->parser && parse(all, body, length);
  if (all->failed) return luaL_error(L, "not enough memory");
  if (read) {
    push_parts(L, all);
    return 1;
  }
  lua_pushnil(L);
  lua_pushliteral(L, "the body is not multipart/form-data, or the boundary in Content-Type is not its own "
                     "(one of a single character must be quoted)");
  return 2;
}
